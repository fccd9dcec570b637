//! The ledger: what was spent, what may be spent by requests under way, what is left.

use frugal_domain::money::{Budget, Spend};
use frugal_domain::spend::{SpendByCategory, SpendCategory};

/// The optimization budget's books, in whole numbers.
///
/// A request is sent only after its worst case was reserved. As long as no request costs more
/// than its worst case, what was spent and what is reserved never pass the budget together; an
/// endpoint that bills more is recorded faithfully, and leaves less for others.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    budget: Option<Budget>,
    reserved: Spend,
    by_category: SpendByCategory,
}

/// A request's worst case, set aside. It must be [settled](Ledger::settle) or
/// [released](Ledger::release) with the ledger that it came from.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what is reserved stays so until it is settled or released"]
pub struct Reservation {
    worst: Spend,
}

impl Reservation {
    /// What was set aside.
    #[must_use]
    pub const fn worst(&self) -> Spend {
        self.worst
    }
}

/// A worst case that is more than what the budget has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request could cost {worst}, and {left} is left (pico-dollars or tokens)")]
pub struct DoesNotFit {
    /// The worst case in the budget's unit: pico-dollars or tokens.
    pub worst: u64,
    /// What the budget has left beyond reservations, in the same unit.
    pub left: u64,
    /// Whether it would fit if nothing else were reserved, so that waiting may help.
    pub fits_alone: bool,
}

impl Ledger {
    /// Books with a budget, or without any.
    #[must_use]
    pub fn new(budget: Option<Budget>) -> Self {
        Self {
            budget,
            ..Self::default()
        }
    }

    /// Sets a request's worst case aside.
    ///
    /// # Errors
    /// It is more than what is left; nothing is set aside then.
    pub fn reserve(&mut self, worst: Spend) -> Result<Reservation, DoesNotFit> {
        if let Some(budget) = self.budget {
            let unit = budget.unit();
            let worst = unit.of(worst);
            let free = budget.amount().saturating_sub(unit.of(self.spent()));
            let left = free.saturating_sub(unit.of(self.reserved));
            if worst > left {
                return Err(DoesNotFit {
                    worst,
                    left,
                    fits_alone: worst <= free,
                });
            }
        }
        self.reserved += worst;
        Ok(Reservation { worst })
    }

    /// Books what a request cost in the end, and gives its reservation back.
    pub fn settle(&mut self, reservation: Reservation, actual: Spend, category: SpendCategory) {
        self.release(reservation);
        self.record(actual, category);
    }

    /// Gives back the reservation of a request that was not sent or cost nothing.
    pub fn release(&mut self, reservation: Reservation) {
        self.reserved = self.reserved.saturating_sub(reservation.worst);
    }

    /// Books what was spent without a reservation: what an earlier run of the job paid.
    pub fn record(&mut self, actual: Spend, category: SpendCategory) {
        *self.by_category.entry(category).or_default() += actual;
    }

    /// Takes back what was booked of a category and turns out not to have been spent.
    pub fn take_back(&mut self, amount: Spend, category: SpendCategory) {
        if let Some(booked) = self.by_category.get_mut(&category) {
            *booked = booked.saturating_sub(amount);
            if *booked == Spend::default() {
                self.by_category.remove(&category);
            }
        }
    }

    /// Goes on with another budget. What is spent and set aside stands, even where it is more.
    pub const fn set_budget(&mut self, budget: Budget) {
        self.budget = Some(budget);
    }

    /// The budget.
    #[must_use]
    pub const fn budget(&self) -> Option<Budget> {
        self.budget
    }

    /// What was spent, all categories together.
    #[must_use]
    pub fn spent(&self) -> Spend {
        self.by_category.values().copied().sum()
    }

    /// What was spent, by category. Categories on which nothing was spent may be absent.
    #[must_use]
    pub const fn by_category(&self) -> &SpendByCategory {
        &self.by_category
    }

    /// What is set aside for requests under way.
    #[must_use]
    pub const fn reserved(&self) -> Spend {
        self.reserved
    }

    /// What is left beyond spend and reservations, in the budget's unit (pico-dollars or
    /// tokens); nothing without a budget.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        self.budget.map(|budget| {
            let unit = budget.unit();
            budget
                .amount()
                .saturating_sub(unit.of(self.spent()))
                .saturating_sub(unit.of(self.reserved))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::money::Usd;
    use proptest::prelude::*;

    fn spend(amount: u64) -> Spend {
        Spend {
            usd: Usd::from_pico(amount.saturating_mul(3)),
            tokens: amount,
        }
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut ledger = Ledger::new(Some(Budget::Tokens(100)));
        let first = ledger.reserve(spend(60)).unwrap();
        let refused = DoesNotFit {
            worst: 41,
            left: 40,
            fits_alone: true,
        };
        assert_eq!(ledger.reserve(spend(41)), Err(refused));
        let never = ledger.reserve(spend(101)).unwrap_err();
        assert!(!never.fits_alone);
        assert_eq!(ledger.left(), Some(40));
        ledger.settle(first, spend(10), SpendCategory::Search);
        assert_eq!(ledger.left(), Some(90));
        assert_eq!(ledger.spent(), spend(10));
    }

    #[test]
    fn a_bill_above_the_worst_case_is_booked_in_full() {
        let mut ledger = Ledger::new(Some(Budget::Tokens(100)));
        let reservation = ledger.reserve(spend(100)).unwrap();
        ledger.settle(reservation, spend(130), SpendCategory::Judge);
        assert_eq!(ledger.by_category()[&SpendCategory::Judge], spend(130));
        assert_eq!(ledger.left(), Some(0));
        assert!(ledger.reserve(spend(1)).is_err());
        assert!(ledger.reserve(spend(0)).is_ok());
    }

    #[test]
    fn amounts_at_the_end_of_the_range_do_not_wrap() {
        let mut ledger = Ledger::new(Some(Budget::Tokens(u64::MAX - 1)));
        assert!(ledger.reserve(spend(u64::MAX)).is_err());
        ledger.record(spend(u64::MAX), SpendCategory::Lost);
        ledger.record(spend(u64::MAX), SpendCategory::Lost);
        assert_eq!(ledger.left(), Some(0));
    }

    #[test]
    fn what_is_taken_back_is_left_again() {
        let mut ledger = Ledger::new(Some(Budget::Tokens(100)));
        ledger.record(spend(60), SpendCategory::Uncertain);
        ledger.record(spend(10), SpendCategory::Search);
        ledger.take_back(spend(40), SpendCategory::Uncertain);
        assert_eq!(
            (ledger.left(), ledger.spent()),
            (Some(70), spend(30)),
            "no other category is touched"
        );
        ledger.take_back(spend(40), SpendCategory::Uncertain);
        assert!(!ledger.by_category().contains_key(&SpendCategory::Uncertain));
        assert_eq!(ledger.left(), Some(90));
    }

    #[derive(Debug, Clone)]
    enum Move {
        Reserve(u64),
        Settle {
            which: usize,
            permille: u64,
            category: SpendCategory,
        },
        Release(usize),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let category = prop::sample::select(SpendCategory::ALL);
        let one = prop_oneof![
            3 => (0..400_u64).prop_map(Move::Reserve),
            2 => (0..9_usize, 0..=1000_u64, category)
                .prop_map(|(which, permille, category)| Move::Settle { which, permille, category }),
            1 => (0..9_usize).prop_map(Move::Release),
        ];
        prop::collection::vec(one, 0..200)
    }

    proptest! {
        #[test]
        fn the_budget_is_never_passed(amount in 0..5_000_u64, dollars: bool, moves in moves()) {
            let budget = if dollars {
                Budget::Usd(Usd::from_pico(amount))
            } else {
                Budget::Tokens(amount)
            };
            let mut ledger = Ledger::new(Some(budget));
            let mut open = Vec::new();
            let mut spent = vec![0_u64; SpendCategory::ALL.len()];
            for step in moves {
                match step {
                    Move::Reserve(worst) => {
                        let fits = budget.unit().of(spend(worst)) <= ledger.left().unwrap();
                        let got = ledger.reserve(spend(worst));
                        prop_assert_eq!(got.is_ok(), fits);
                        open.extend(got);
                    }
                    Move::Settle { which, permille, category } if !open.is_empty() => {
                        let reservation = open.swap_remove(which % open.len());
                        let actual = reservation.worst().tokens * permille / 1000;
                        spent[category as usize] += actual;
                        ledger.settle(reservation, spend(actual), category);
                    }
                    Move::Release(which) if !open.is_empty() => {
                        ledger.release(open.swap_remove(which % open.len()));
                    }
                    Move::Settle { .. } | Move::Release(_) => {}
                }
                prop_assert!(budget.covers(ledger.spent() + ledger.reserved()));
                prop_assert_eq!(
                    ledger.reserved(),
                    open.iter().map(Reservation::worst).sum::<Spend>()
                );
            }
            for (category, spent) in SpendCategory::ALL.iter().zip(spent) {
                let booked = ledger.by_category().get(category).copied().unwrap_or_default();
                prop_assert_eq!(booked, spend(spent));
            }
        }
    }
}
