//! Programs that are to be run for a score, one after the other, and what their ends are worth.

use crate::scorer_error::cut;
use frugal_domain::program::{Ended, Ending, Program};

/// Programs to run and what each has to come to. Whoever runs them asks for the [`next`](Self::next), tells
/// how it [`ended`](Self::ended), and has the [`score`](Self::score) where there is none left.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    checks: Vec<Check>,
    /// How many have been run, and how many of these came to what they should.
    ran: usize,
    passed: usize,
    is_partial: bool,
    /// Why the first that did not was not what it should be.
    fault: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Check {
    program: Program,
    wants: Wants,
}

/// What a program has to come to.
#[derive(Debug, Clone, PartialEq)]
enum Wants {
    /// Its tests run to their end.
    Tests,
    /// It ends well, having written this.
    Output(String),
}

impl Run {
    /// A program whose tests have to pass.
    pub(crate) fn tests(program: Program) -> Self {
        let wants = Wants::Tests;
        Self::of(vec![Check { program, wants }], false)
    }

    /// Programs each of which has to write an output. Where that is partial, the score is the share of
    /// those that do, else all have to.
    pub(crate) fn outputs(
        cases: impl IntoIterator<Item = (Program, String)>,
        is_partial: bool,
    ) -> Self {
        let checks = cases.into_iter().map(|(program, output)| Check {
            program,
            wants: Wants::Output(output),
        });
        Self::of(checks.collect(), is_partial)
    }

    fn of(checks: Vec<Check>, is_partial: bool) -> Self {
        Self {
            checks,
            ran: 0,
            passed: 0,
            is_partial,
            fault: None,
        }
    }

    /// The program to run now; nothing where the score is settled.
    #[must_use]
    pub fn next(&self) -> Option<&Program> {
        let is_lost = !self.is_partial && self.passed < self.ran;
        let check = self.checks.get(self.ran).filter(|_| !is_lost);
        check.map(|check| &check.program)
    }

    /// Tells how the [`next`](Self::next) ended.
    pub fn ended(&mut self, ended: &Ended) {
        if let Some(check) = self.checks.get(self.ran) {
            let is_met = check.wants.are_met(ended);
            if !is_met && self.fault.is_none() {
                self.fault = Some(check.wants.fault(ended));
            }
            self.passed += usize::from(is_met);
            self.ran += 1;
        }
    }

    /// What was found, in a sentence.
    pub(crate) fn told(&self) -> String {
        let (passed, all) = (self.passed, self.checks.len());
        let found = match self.checks.first().map(|check| &check.wants) {
            Some(Wants::Tests) if passed == all => "the tests pass".to_owned(),
            Some(Wants::Tests) => "the tests do not pass".to_owned(),
            Some(Wants::Output(_)) | None => match self.ran < all {
                // The others make no difference.
                true => "a case does not pass".to_owned(),
                false => format!("{passed} of {all} cases pass"),
            },
        };
        match &self.fault {
            Some(fault) => format!("{found}: {fault}"),
            None => found,
        }
    }

    /// The score, from 0 to 1. What was not run counts as failed.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "there are far fewer programs than a float counts"
    )]
    pub fn score(&self) -> f64 {
        let (passed, all) = (self.passed, self.checks.len());
        match (self.is_partial, all) {
            (_, 0) => 0.0,
            (true, _) => passed as f64 / all as f64,
            (false, _) => f64::from(u8::from(passed == all)),
        }
    }
}

impl Wants {
    /// Why a program that ended so does not come to what it should.
    fn fault(&self, ended: &Ended) -> String {
        let mut said = ended.stderr.lines().rev().map(str::trim);
        match (ended.ending, said.find(|line| !line.is_empty()), self) {
            (Ending::TimedOut, _, _) => "its time ran out".to_owned(),
            (Ending::TooMuchOutput, _, _) => "it wrote too much".to_owned(),
            (Ending::Killed(signal), _, _) => format!("it was ended by signal {signal}"),
            (Ending::Exited(0), _, Self::Output(output)) => {
                let (wrote, wanted) = (cut(ended.stdout.trim()), cut(output.trim()));
                format!("it wrote `{wrote}`, where `{wanted}` is wanted")
            }
            (Ending::Exited(0), _, Self::Tests) => "it ended before its tests did".to_owned(),
            (Ending::Exited(_), Some(line), _) => cut(line),
            (Ending::Exited(code), None, _) => format!("it ended with exit code {code}"),
        }
    }

    fn are_met(&self, ended: &Ended) -> bool {
        match self {
            Self::Tests => ended.passed_tests,
            Self::Output(output) => {
                ended.ending == Ending::Exited(0) && lines(&ended.stdout).eq(lines(output))
            }
        }
    }
}

/// The lines of an output without what nobody sees: white space at the ends of lines, and blank lines at
/// the end.
fn lines(output: &str) -> impl Iterator<Item = &str> {
    output.trim_end().lines().map(str::trim_end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ended(stdout: &str, ending: Ending) -> Ended {
        Ended {
            ending,
            passed_tests: false,
            stdout: stdout.to_owned(),
            stderr: String::new(),
        }
    }

    fn cases(outputs: &[&str], is_partial: bool) -> Run {
        let cases = outputs
            .iter()
            .map(|output| (Program::default(), (*output).to_owned()));
        Run::outputs(cases, is_partial)
    }

    #[test]
    fn outputs_are_compared_by_lines_without_what_nobody_sees() {
        let meets = |stdout: &str, ending| {
            let mut run = cases(&["1 2\n\n3 \n"], false);
            run.ended(&ended(stdout, ending));
            run.score() > 0.0
        };
        assert!(meets("1 2\n\n3", Ending::Exited(0)));
        assert!(meets("1 2  \r\n \n3\n\n\n", Ending::Exited(0)));
        assert!(!meets("1 2\n3", Ending::Exited(0)));
        assert!(!meets(" 1 2\n\n3", Ending::Exited(0)));
        assert!(!meets("1 2\n\n3", Ending::Exited(1)));
        assert!(!meets("1 2\n\n3", Ending::TimedOut));
    }

    #[test]
    fn what_was_found_is_told() {
        let told = |mut run: Run, stdout: &str, stderr: &str, ending| {
            while run.next().is_some() {
                run.ended(&Ended {
                    stderr: stderr.to_owned(),
                    ..ended(stdout, ending)
                });
            }
            run.told()
        };
        let tests = || Run::tests(Program::default());
        let exit = Ending::Exited;
        for (run, stdout, stderr, ending, expected) in [
            (
                cases(&["1", "1"], true),
                "1",
                "",
                exit(0),
                "2 of 2 cases pass",
            ),
            (
                cases(&["1", "2"], true),
                "2\n",
                "",
                exit(0),
                "1 of 2 cases pass: it wrote `2`, where `1` is wanted",
            ),
            (
                cases(&["1", "2"], false),
                "2",
                "",
                exit(0),
                "a case does not pass: it wrote `2`, where `1` is wanted",
            ),
            (
                tests(),
                "",
                "",
                exit(0),
                "the tests do not pass: it ended before its tests did",
            ),
            (
                tests(),
                "",
                "Traceback\n  …\nAssertionError: 3\n\n",
                exit(1),
                "the tests do not pass: AssertionError: 3",
            ),
            (
                tests(),
                "",
                "",
                Ending::TimedOut,
                "the tests do not pass: its time ran out",
            ),
            (
                tests(),
                "",
                "",
                Ending::Killed(9),
                "the tests do not pass: it was ended by signal 9",
            ),
        ] {
            assert_eq!(told(run, stdout, stderr, ending), expected);
        }
    }

    #[test]
    fn where_all_have_to_pass_nothing_is_run_after_a_failure() {
        let mut run = cases(&["1", "2", "3"], false);
        run.ended(&ended("1", Ending::Exited(0)));
        assert!(run.next().is_some());
        run.ended(&ended("1", Ending::Exited(0)));
        assert!(run.next().is_none());
        assert_eq!(run.score(), 0.0);
    }

    proptest! {
        #[test]
        fn a_partial_score_is_the_share_that_passes(passes in prop::collection::vec(any::<bool>(), 1..20)) {
            let mut run = cases(&vec!["yes"; passes.len()], true);
            let mut told = passes.iter();
            while run.next().is_some() {
                let stdout = if *told.next().unwrap() { "yes" } else { "no" };
                run.ended(&ended(stdout, Ending::Exited(0)));
            }
            prop_assert!(told.next().is_none());
            let passed = passes.iter().filter(|passes| **passes).count();
            prop_assert!((run.score() - passed as f64 / passes.len() as f64).abs() < 1e-12);
        }
    }
}
