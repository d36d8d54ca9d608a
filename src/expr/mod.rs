//! Values, templates, expressions and extraction.
