//! How much an expression may hold: it is parsed, compiled and evaluated by functions that call themselves, on threads whose
//! stacks have an end.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::error::CompileError;

/// How many operators, filters, attributes and brackets there may be in one expression.
pub(super) const MAX_OPERATORS: usize = 250;
/// The longest JSONPath, in bytes.
pub(super) const MAX_PATH: usize = 1000;

/// Words that are operators, or begin what may stand in one another.
const WORDS: [&str; 9] = ["and", "or", "not", "in", "is", "if", "else", "elif", "for"];

/// Refuses an expression (`inside`), or the expressions of a template, that hold too much. Wrong syntax is left to the parser.
///
/// # Errors
/// At the first operator that is too many.
pub(super) fn bounded(text: &str, inside: bool) -> Result<(), CompileError> {
    if text.len() <= MAX_OPERATORS {
        return Ok(());
    }
    let (mut in_expression, mut in_blocks) = (0, 0);
    for (token, span) in tokenize(text, inside, SyntaxConfig::default()).map_while(Result::ok) {
        match token {
            Token::VariableStart | Token::VariableEnd => in_expression = 0,
            // Blocks stand in one another.
            Token::BlockStart => in_blocks += 1,
            Token::Ident(word) if !WORDS.contains(&word) => {}
            Token::TemplateData(_) | Token::BlockEnd | Token::Comma | Token::Colon => {}
            Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Int128(_) | Token::Float(_) => {}
            _ => in_expression += 1,
        }
        if in_expression > MAX_OPERATORS || in_blocks > MAX_OPERATORS {
            let at = (span.start_offset as usize).min(text.len());
            let message =
                format!("an expression holds at most {MAX_OPERATORS} operators; compute a part of it by `set` before this step");
            return Err(CompileError::new(message, at..text.len().min(at + 1)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{Compiler, Names};

    #[test]
    fn what_is_too_long_is_refused_and_what_is_not_is_evaluated_on_a_small_stack() {
        let most = MAX_OPERATORS;
        for (what, of) in [
            ("sum", (|n| format!("1{}", "+1".repeat(n))) as fn(usize) -> String),
            ("text", |n| format!("'a'{}", " ~ 'b'".repeat(n))),
            ("truth", |n| format!("true{}", " and true".repeat(n))),
            ("filters", |n| format!("'a'{}", "|string".repeat(n))),
            ("negations", |n| format!("{}true", "not ".repeat(n))),
        ] {
            let names = Names::default();
            let right = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
                let mut compiler = Compiler::default();
                let fits = compiler.expression(&of(most), &names).map(|expression| expression.source().len());
                let wrong = compiler.expression(&of(8000), &names).unwrap_err().message;
                let template = compiler.template(&format!("{{{{ {} }}}}", of(4000)), &names).unwrap_err().message;
                (fits, wrong, template)
            });
            let (fits, wrong, template) = right.unwrap().join().unwrap();
            // The parser has a limit of its own for some.
            assert!(fits.as_ref().is_ok_and(|length| *length > most) || what == "negations", "{what}: {fits:?}");
            assert!(wrong.contains("at most 250 operators") && template == wrong, "{what}: {wrong}");
        }
    }

    #[test]
    fn many_expressions_in_one_text_and_long_lists_are_fine() {
        let (names, mut compiler) = (Names::default(), Compiler::default());
        compiler.template(&"{{ 1 + 1 }} and text, ".repeat(2000), &names).unwrap();
        compiler.expression(&format!("1 in [{}]", "1, ".repeat(5000)), &names).unwrap();
        let blocks = "{% if true %}x".repeat(4000) + &"{% endif %}".repeat(4000);
        assert!(compiler.template(&blocks, &names).unwrap_err().message.contains("at most 250"));
    }
}
