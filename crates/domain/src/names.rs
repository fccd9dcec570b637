//! The names of closed sets: one list for the wire, the database and the reading of both.

/// A text that names no variant of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a known {1}")]
pub struct UnknownName(pub String, pub &'static str);

/// Defines a closed set with a name for each variant. From that one list come `ALL`, `as_str`,
/// `Display`, `FromStr` and the stored and served JSON.
macro_rules! names {
    (
        $(#[$attribute:meta])*
        pub enum $type:ident: $what:literal {
            $($(#[$of_variant:meta])* $variant:ident = $name:literal),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord,
            serde::Serialize, serde::Deserialize,
        )]
        pub enum $type {
            $($(#[$of_variant])* #[serde(rename = $name)] $variant),+
        }

        impl $type {
            /// Every variant, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name on the wire and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::names::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err($crate::names::UnknownName(text.to_owned(), $what)),
                }
            }
        }
    };
}

pub(crate) use names;

#[cfg(test)]
mod tests {
    use super::UnknownName;

    names! {
        /// A set of two.
        pub enum Two: "one of two" {
            /// The first.
            First = "first",
            /// The second.
            SecondOne = "second_one",
        }
    }

    #[test]
    fn one_list_names_the_variants_everywhere() {
        assert_eq!(Two::ALL, [Two::First, Two::SecondOne]);
        for two in Two::ALL {
            assert_eq!(two.as_str().parse(), Ok(*two));
            assert_eq!(two.to_string(), two.as_str());
            assert_eq!(serde_json::json!(two), two.as_str());
            assert_eq!(serde_json::from_value(two.as_str().into()).ok(), Some(*two));
        }
        assert_eq!(Two::SecondOne.as_str(), "second_one");
        let unknown = UnknownName("third".to_owned(), "one of two");
        assert_eq!("third".parse::<Two>(), Err(unknown));
    }
}
