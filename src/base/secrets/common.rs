//! Secrets that are words of the program's own, or quantities as it writes them: one could stand in any sentence.

use crate::base::units;

/// The longest word that the program may have in a sentence.
const LONGEST_WORD: usize = 14;
/// The longest number, with a `p` before it or not, that it may have beside other words.
const LONGEST_NUMBER: usize = 4;
/// A secret of more words stands in no sentence of the program's.
const MOST_WORDS: usize = 3;

/// Whether a secret could be a word or a quantity of a sentence, or a few of them.
pub(super) fn is_common(text: &str) -> bool {
    let words: Vec<&str> = text.split([' ', '_']).filter(|word| !word.is_empty()).take(MOST_WORDS + 1).collect();
    let is_word = |word: &&str| {
        let word = word.strip_suffix([':', ',', '.']).unwrap_or(word);
        let number = word.strip_prefix('p').unwrap_or(word);
        // A long number among other words is one that was made: `bot_123456789`.
        let may_be_long = words.len() == 1 && number == word;
        number.parse::<f64>().is_ok() && (may_be_long || word.len() <= LONGEST_NUMBER)
            || matches!(word, "<" | "<=" | ">" | ">=" | "==" | "!=")
            || is_quantity(word)
            || !word.is_empty() && word.len() <= LONGEST_WORD && word.chars().all(char::is_alphabetic)
    };
    (1..=MOST_WORDS).contains(&words.len()) && words.iter().all(is_word)
}

/// A short number with a unit: `500ms`, `64KiB`, `1%`, `10/s`.
fn is_quantity(word: &str) -> bool {
    let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    let is_one = || {
        units::parse_duration(word).is_ok()
            || units::parse_size(word).is_ok()
            || units::parse_ratio(word).is_ok()
            || units::parse_rate(word).is_ok()
    };
    end <= LONGEST_NUMBER && !word[end..].contains(|c: char| c.is_ascii_digit()) && is_one()
}

#[cfg(test)]
mod tests {
    use super::super::Secrets;

    #[test]
    fn a_phrase_with_signs_and_quantities_stays_in_sentences_of_the_program() {
        for phrase in
            ["errors < 1%", "p95 <= 500ms", "rate >= 10/s", "errors: 1.5%,", "status != 200", "64KiB", "1.2s.", "> 99.9%"]
        {
            let secrets = Secrets::new([phrase.to_owned()]);
            let own = format!("PASS {phrase} so: \"{phrase}\"");
            assert_eq!(secrets.redact_own(&own), format!("PASS {phrase} so: \"***\""));
            assert_eq!(secrets.redact(&own), "PASS *** so: \"***\"");
        }
        for made in [
            "errors <1%",
            "errors =< 1%",
            "a <<< b",
            "12345ms",
            "1h30m2",
            "p95ms",
            "1%%",
            "50ms!",
            "load...",
            "errors < 1% now",
            ":,.",
        ] {
            assert_eq!(Secrets::new([made.to_owned()]).redact_own(&format!("it said {made} so")), "it said *** so", "{made}");
        }
    }

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_word_that_nobody_shares_hides_the_phrase_that_it_stands_in(
            common in proptest::collection::vec("[a-z]{3,8}|[<>]=?|[0-9]{1,3}(%|ms|/s|KiB)[:,.]?", 0..3),
            made in "[a-z]{1,4}[0-9]{2,6}[a-z]{1,4}|[0-9]{5,8}(ms|s|%)|[a-zA-Z]{3,8}[!@$^&*?-][a-z0-9]{1,4}|[a-z]{15,20}",
            at in 0usize..3, sign in "[:,.]?",
        ) {
            let mut words = common.clone();
            words.insert(at.min(words.len()), format!("{made}{sign}"));
            let phrase = words.join(" ");
            let own = format!("FAIL the phase: {phrase}; of all");
            let shown = Secrets::new([phrase.clone()]).redact_own(&own).into_owned();
            prop_assert!(!shown.contains(&made), "{}: {}", phrase, shown);
            let phrase = common.join(" ");
            let own = format!("FAIL the phase: {phrase}; of all");
            prop_assert_eq!(Secrets::new([phrase]).redact_own(&own).into_owned(), own);
        }
    }
}
