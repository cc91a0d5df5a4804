//! Versions of the terms of service: which are in force, and which an account has accepted.

use crate::Error;
use crate::name::plain_name;
use crate::time::Timestamp;

plain_name! {
    /// What a version of the terms is called: 1 to 32 letters, digits, dots, hyphens and underscores.
    TermsName, 32, "termsVersion"
}

/// One version, and from when on it has to be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermsVersion {
    /// What it is called.
    pub name: TermsName,
    /// When it comes into force.
    pub effective_at: Timestamp,
}

/// That an account accepted a version: which, and when, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermsAcceptance {
    /// The version.
    pub version: TermsName,
    /// When.
    pub accepted_at: Timestamp,
}

/// The versions of a deployment, oldest first. The first is in force from the beginning, whatever its date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms(Vec<TermsVersion>);

impl Default for Terms {
    /// One version, called `1`.
    fn default() -> Self {
        Self(vec![TermsVersion { name: TermsName("1".to_owned()), effective_at: Timestamp::EPOCH }])
    }
}

impl Terms {
    /// Those versions.
    ///
    /// # Errors
    /// `InvalidInput` where there are none, two have one name, or two come into force at once.
    pub fn new(mut versions: Vec<TermsVersion>) -> Result<Self, Error> {
        versions.sort_by_key(|version| version.effective_at);
        if versions.is_empty() {
            return Err(Error::invalid("terms", "at least one version is needed"));
        }
        let is_twice = |(place, version): (usize, &TermsVersion)| {
            versions[..place]
                .iter()
                .any(|other| other.name == version.name || other.effective_at == version.effective_at)
        };
        if versions.iter().enumerate().any(is_twice) {
            return Err(Error::invalid("terms", "two versions have one name or one date"));
        }
        Ok(Self(versions))
    }

    /// Every version, oldest first.
    #[must_use]
    pub fn versions(&self) -> &[TermsVersion] {
        &self.0
    }

    /// The version in force.
    #[must_use]
    pub fn current(&self, now: Timestamp) -> &TermsVersion {
        &self.0[self.current_place(now)]
    }

    /// The next version, where one has been announced.
    #[must_use]
    pub fn upcoming(&self, now: Timestamp) -> Option<&TermsVersion> {
        self.0.get(self.current_place(now) + 1)
    }

    /// Whether whoever accepted that has accepted what is in force, or what comes after it.
    #[must_use]
    pub fn are_met_by(&self, accepted: Option<&TermsAcceptance>, now: Timestamp) -> bool {
        let place = accepted.and_then(|accepted| self.place(&accepted.version));
        place.is_some_and(|place| place >= self.current_place(now))
    }

    /// The acceptance of a version by name, or of the one in force.
    pub(crate) fn accept(&self, name: Option<&TermsName>, now: Timestamp) -> Result<TermsAcceptance, Error> {
        let current = self.current_place(now);
        let place = match name {
            None => current,
            Some(name) => {
                let place = self.place(name).filter(|place| *place >= current);
                place.ok_or_else(|| {
                    let current = &self.0[current].name;
                    Error::invalid("termsVersion", format!("neither the version in force, {current}, nor a later one"))
                })?
            }
        };
        Ok(TermsAcceptance { version: self.0[place].name.clone(), accepted_at: now })
    }

    /// Of two acceptances, the one of the later version.
    pub(crate) fn later(&self, before: Option<TermsAcceptance>, accepted: TermsAcceptance) -> TermsAcceptance {
        match before {
            Some(before) if self.place(&before.version) > self.place(&accepted.version) => before,
            _ => accepted,
        }
    }

    fn current_place(&self, now: Timestamp) -> usize {
        self.0.iter().rposition(|version| version.effective_at <= now).unwrap_or(0)
    }

    fn place(&self, name: &TermsName) -> Option<usize> {
        self.0.iter().position(|version| version.name == *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn version(name: &str, seconds: i64) -> TermsVersion {
        TermsVersion { name: name.parse().unwrap(), effective_at: at(seconds) }
    }

    #[test]
    fn a_version_is_announced_then_required_from_its_date() {
        let terms = Terms::new(vec![version("2", 200), version("1", 100)]).unwrap();
        let accepted = |name: &str, now| terms.accept(Some(&name.parse().unwrap()), at(now));
        // The first has always been in force.
        assert_eq!(terms.current(at(0)).name.as_str(), "1");
        assert_eq!(terms.upcoming(at(199)).unwrap().name.as_str(), "2");
        assert_eq!(terms.upcoming(at(200)), None);
        let first = terms.accept(None, at(150)).unwrap();
        assert!(terms.are_met_by(Some(&first), at(199)));
        assert!(!terms.are_met_by(Some(&first), at(200)));
        assert!(!terms.are_met_by(None, at(0)));
        // What is announced may be accepted before; what is over may not.
        assert!(terms.are_met_by(Some(&accepted("2", 150).unwrap()), at(200)));
        let (first, second) = (accepted("1", 150).unwrap(), accepted("2", 150).unwrap());
        assert_eq!(terms.later(Some(second.clone()), first.clone()), second);
        assert_eq!(terms.later(Some(first), second.clone()), second);
        assert!(accepted("1", 200).is_err());
        assert!(accepted("3", 200).is_err());
    }

    #[test]
    fn versions_that_cannot_be_told_apart_are_refused() {
        assert!(Terms::new(vec![]).is_err());
        assert!(Terms::new(vec![version("1", 1), version("1", 2)]).is_err());
        assert!(Terms::new(vec![version("1", 1), version("2", 1)]).is_err());
        assert!("a b".parse::<TermsName>().is_err());
    }
}
