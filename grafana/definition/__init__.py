"""The dashboards, one module each; `model` holds what they have in common."""
