//! Short names that operators choose: narrow on purpose, for they are stored and logged, and no address fits in one.

/// Whether a text is letters, digits, dots, hyphens and underscores, so many at most.
pub(crate) fn is_plain(text: &str, most: usize) -> bool {
    let is_allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
    (1..=most).contains(&text.len()) && text.bytes().all(is_allowed)
}

macro_rules! plain_name {
    ($(#[doc = $doc:literal])+ $name:ident, $most:literal, $field:literal) => {
        $(#[doc = $doc])+
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::Error;

            fn from_str(text: &str) -> Result<Self, $crate::Error> {
                if $crate::name::is_plain(text, $most) {
                    Ok(Self(text.to_owned()))
                } else {
                    let expected = concat!("not 1 to ", $most, " letters, digits, dots, hyphens or underscores");
                    Err($crate::Error::invalid($field, expected))
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(crate) use plain_name;
