//! Between which numbers an expression of totals lies, where each total lies between two.
//!
//! Sums, products and ratios of ranges are ranges. Where a total stands twice that is wider than what can be. As long as the expression has no
//! square of it, each total by itself only raises it or only lowers it, so that its ends are at the ends of the totals.

/// The least and the most that something can be.
pub(super) type Range = (f64, f64);

pub(super) const ANYTHING: Range = (f64::NEG_INFINITY, f64::INFINITY);

/// Of more totals not all combinations of their ends are tried.
const MOST_PARTS: usize = 6;

/// An expression of totals, numbers, the four operations and brackets.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term {
    Number(f64),
    /// `metric('name')`.
    Total(String),
    /// `lost('step')`.
    Lost(String),
    Both(Box<Term>, char, Box<Term>),
}

impl Term {
    /// Reads an expression; none if it has anything else.
    pub fn read(source: &str) -> Option<Self> {
        let mut rest = Rest(source.trim());
        rest.sum().filter(|_| rest.0.is_empty())
    }

    /// Between what it lies, where `of` says it of each total and of what is lost of a step.
    pub fn range(&self, of: &dyn Fn(&Term) -> Range) -> Range {
        if self.may_divide_by_nothing(of) {
            return ANYTHING;
        }
        let mut unsure = Vec::new();
        self.unsure(of, &mut unsure);
        let finite = |term: &&Term| of(term).0.is_finite() && of(term).1.is_finite();
        let twice = |term: &&Term| self.times(term) > 1;
        let straight = |term: &&Term| self.powers(term).0 <= 1 && self.powers(term).1 <= 1;
        if unsure.iter().any(twice) && unsure.len() <= MOST_PARTS && unsure.iter().all(|term| finite(term) && straight(term)) {
            return self.at_ends(of, &unsure);
        }
        self.parts(of)
    }

    fn may_divide_by_nothing(&self, of: &dyn Fn(&Term) -> Range) -> bool {
        let Term::Both(left, operation, right) = self else { return false };
        let nothing = || {
            let (least, most) = right.parts(of);
            !(least > 0.0 || most < 0.0)
        };
        left.may_divide_by_nothing(of) || right.may_divide_by_nothing(of) || (*operation == '/' && nothing())
    }

    /// Of the ranges of its parts, as if each were another total.
    fn parts(&self, of: &dyn Fn(&Term) -> Range) -> Range {
        let Term::Both(left, operation, right) = self else {
            return if let Term::Number(number) = self { (*number, *number) } else { of(self) };
        };
        let ((a, b), (c, d)) = (left.parts(of), right.parts(of));
        match operation {
            '+' => (a + c, b + d),
            '-' => (a - d, b - c),
            '*' => ends([a * c, a * d, b * c, b * d]),
            _ if c > 0.0 || d < 0.0 => ends([a / c, a / d, b / c, b / d]),
            _ => ANYTHING,
        }
    }

    /// What it is with each total at one of its ends.
    fn at_ends(&self, of: &dyn Fn(&Term) -> Range, unsure: &[&Term]) -> Range {
        let Some((first, rest)) = unsure.split_first() else { return self.parts(of) };
        let (least, most) = of(first);
        let with = |end: f64| self.at_ends(&|term: &Term| if term == *first { (end, end) } else { of(term) }, rest);
        let (low, high) = (with(least), with(most));
        (low.0.min(high.0), low.1.max(high.1))
    }

    fn unsure<'a>(&'a self, of: &dyn Fn(&Term) -> Range, found: &mut Vec<&'a Term>) {
        match self {
            Term::Both(left, _, right) => [left, right].into_iter().for_each(|term| term.unsure(of, found)),
            Term::Total(_) if of(self).0 < of(self).1 && !found.contains(&self) => found.push(self),
            _ => {}
        }
    }

    /// How often a total stands in it.
    fn times(&self, total: &Term) -> usize {
        match self {
            Term::Both(left, _, right) => left.times(total) + right.times(total),
            _ => usize::from(self == total),
        }
    }

    /// The powers of a total above and below the line, as a fraction of two sums of products.
    fn powers(&self, total: &Term) -> (u32, u32) {
        let Term::Both(left, operation, right) = self else { return (u32::from(self == total), 0) };
        let ((a, b), (c, d)) = (left.powers(total), right.powers(total));
        match operation {
            '*' => (a + c, b + d),
            '/' => (a + d, b + c),
            _ => ((a + d).max(c + b), b + d),
        }
    }
}

/// Nothing of something without a bound is nothing.
fn ends(all: [f64; 4]) -> Range {
    let all = all.map(|end| if end.is_nan() { 0.0 } else { end });
    (all.into_iter().fold(f64::INFINITY, f64::min), all.into_iter().fold(f64::NEG_INFINITY, f64::max))
}

/// What is still to be read.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn takes(&mut self, word: &str) -> bool {
        let rest = self.0.strip_prefix(word);
        self.0 = rest.map_or(self.0, str::trim_start);
        rest.is_some()
    }

    fn one_of(&mut self, operations: [char; 2]) -> Option<char> {
        operations.into_iter().find(|operation| self.takes(operation.encode_utf8(&mut [0; 4])))
    }

    fn sum(&mut self) -> Option<Term> {
        let mut left = self.product()?;
        while let Some(operation) = self.one_of(['+', '-']) {
            left = Term::Both(Box::new(left), operation, Box::new(self.product()?));
        }
        Some(left)
    }

    fn product(&mut self) -> Option<Term> {
        let mut left = self.signed()?;
        while let Some(operation) = self.one_of(['*', '/']) {
            left = Term::Both(Box::new(left), operation, Box::new(self.signed()?));
        }
        Some(left)
    }

    fn signed(&mut self) -> Option<Term> {
        match self.takes("-") {
            true => Some(Term::Both(Box::new(Term::Number(-1.0)), '*', Box::new(self.signed()?))),
            false => self.single(),
        }
    }

    fn single(&mut self) -> Option<Term> {
        if self.takes("(") {
            return self.sum().filter(|_| self.takes(")"));
        }
        for (function, term) in [("metric", Term::Total as fn(String) -> Term), ("lost", Term::Lost)] {
            if self.takes(function) {
                return self.takes("(").then(|| self.name())?.filter(|_| self.takes(")")).map(term);
            }
        }
        let end = self.0.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.0.len());
        let (number, rest) = self.0.split_at(end);
        self.0 = rest.trim_start();
        number.parse().ok().map(Term::Number)
    }

    fn name(&mut self) -> Option<String> {
        let quote = self.one_of(['\'', '"'])?;
        let (name, rest) = self.0.split_once(quote)?;
        self.0 = rest.trim_start();
        (!name.contains('\\')).then(|| name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(source: &str, a: Range, b: Range) -> Range {
        let term = Term::read(source).unwrap();
        term.range(&|term| if *term == Term::Total("a".into()) { a } else { b })
    }

    #[test]
    fn what_is_no_arithmetic_is_not_read() {
        assert!(Term::read("100 * (metric(\"a_total\") + lost('vote')) / 2.5 - -1").is_some());
        for source in
            ["metric('a') ** 2", "metric('a') // 2", "metric('a') % 2", "metric('a') | round", "1 if metric('a') else 2", ""]
        {
            assert_eq!(Term::read(source), None, "{source}");
        }
    }

    #[test]
    fn a_square_has_its_least_between_its_ends() {
        let (a, b) = ((36.0, 40.0), (2.0, 4.0));
        let (least, most) = range("(metric('a') - 38) * (metric('a') - 38)", a, b);
        assert!(least <= 0.0 && most >= 4.0, "{least} {most}");
        assert_eq!(range("100 / (metric('a') - 38.5)", a, b), ANYTHING);
        assert_eq!(range("100 / (metric('a') - 30)", a, b), (10.0, 100.0 / 6.0));
        assert_eq!(range("metric('a') * metric('a') / metric('a')", a, b), (36.0 * 36.0 / 40.0, 40.0 * 40.0 / 36.0));
        // A part of a whole is no more than that.
        assert_eq!(range("metric('a') / (metric('a') + metric('b'))", a, b), (36.0 / 40.0, 40.0 / 42.0));
        assert_eq!(range("metric('a') - metric('a')", a, b), (0.0, 0.0));
        assert_eq!(range("-metric('a') - (2 - metric('b'))", a, b), (-40.0, -34.0));
    }

    #[test]
    fn what_nothing_bounds_leaves_the_rest_bounded() {
        let a = (2.0, f64::INFINITY);
        assert_eq!(range("metric('b') / metric('a')", a, (1.0, 3.0)), (0.0, 1.5));
        assert_eq!(range("metric('b') * metric('a')", a, (0.0, 3.0)), (0.0, f64::INFINITY));
        assert_eq!(range("metric('b') - metric('a')", a, (0.0, 3.0)), (f64::NEG_INFINITY, 1.0));
    }
}
