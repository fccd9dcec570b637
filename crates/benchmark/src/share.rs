//! How often something is so.

/// How many of some cases it is so in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Cases in which it is so.
    pub yes: u32,
    /// All cases.
    pub of: u32,
}

impl Share {
    /// That of some cases.
    pub fn of(cases: impl Iterator<Item = bool>) -> Self {
        let (mut yes, mut of) = (0, 0);
        for case in cases {
            yes += u32::from(case);
            of += 1;
        }
        Self { yes, of }
    }

    /// 0 of no cases.
    pub fn value(self) -> f64 {
        f64::from(self.yes) / f64::from(self.of.max(1))
    }

    /// Whether it is at least so much, up to two standard errors.
    pub fn reaches(self, least: f64) -> bool {
        self.value() + 2.0 * self.standard_error() >= least
    }

    /// Whether it is at most so much, up to two standard errors.
    pub fn keeps_to(self, most: f64) -> bool {
        self.value() - 2.0 * self.standard_error() <= most
    }

    /// That of a sample; 0 of no cases.
    pub fn standard_error(self) -> f64 {
        let share = self.value();
        (share * (1.0 - share) / f64::from(self.of.max(1))).sqrt()
    }

    /// Per cent, with the standard error.
    pub fn show(self) -> String {
        let (share, error) = (self.value(), self.standard_error());
        format!("{:.1} ± {:.1} %", 100.0 * share, 100.0 * error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_kept_up_to_two_standard_errors() {
        // 93 of 100 ± 2.6.
        let found = Share::of((0..100).map(|case| case >= 7));
        assert_eq!(found.show(), "93.0 ± 2.6 %");
        assert!(found.reaches(0.98) && !found.reaches(0.99));
        assert!(found.keeps_to(0.88) && !found.keeps_to(0.87));
        assert_eq!(Share::of(std::iter::empty()).value(), 0.0);
    }
}
