//! Who may do what: scopes of keys, and whose things a caller reaches.

use crate::names::names;

names! {
    /// What a key allows.
    pub enum Scope: "scope" {
        /// To read the owner's jobs, datasets and evaluations, and what they found.
        Read = "read",
        /// To post, change, steer and delete them: whatever spends or removes.
        Write = "write",
        /// To read the metrics, which are of all owners together.
        Metrics = "metrics",
        /// To do all of it, with what belongs to anybody, and to make and revoke keys.
        Admin = "admin",
    }
}

impl Scope {
    /// Whether a key with these scopes allows this.
    #[must_use]
    pub fn is_allowed_by(self, scopes: &[Self]) -> bool {
        scopes.contains(&self) || scopes.contains(&Self::Admin)
    }
}

/// Whose things a caller reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// To whom what the caller makes belongs, and whose names come first; nobody's where nobody says who
    /// they are.
    pub owner: Option<String>,
    /// Whether the caller reaches what belongs to others.
    pub everything: bool,
}

impl Access {
    /// That of a server where nobody says who they are: nothing belongs to anybody.
    pub const OPEN: Self = Self {
        owner: None,
        everything: true,
    };

    /// Whether something that belongs to this owner is reached.
    #[must_use]
    pub fn reaches(&self, owner: Option<&str>) -> bool {
        self.everything || self.owner.as_deref() == owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_may_do_everything_and_others_what_they_are_allowed() {
        for scope in Scope::ALL {
            assert!(scope.is_allowed_by(&[Scope::Admin]));
            assert!(scope.is_allowed_by(&[*scope]));
            assert!(!scope.is_allowed_by(&[]));
        }
        assert!(!Scope::Read.is_allowed_by(&[Scope::Write]));
        assert!(!Scope::Admin.is_allowed_by(&[Scope::Read, Scope::Write, Scope::Metrics]));
    }

    #[test]
    fn what_belongs_to_others_is_out_of_reach() {
        let access = |owner: Option<&str>, everything| Access {
            owner: owner.map(str::to_owned),
            everything,
        };
        assert!(access(Some("a"), false).reaches(Some("a")));
        assert!(!access(Some("a"), false).reaches(Some("b")));
        assert!(!access(Some("a"), false).reaches(None));
        assert!(access(Some("a"), true).reaches(Some("b")));
        assert!(Access::OPEN.reaches(None) && Access::OPEN.reaches(Some("a")));
    }
}
