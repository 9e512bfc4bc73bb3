//! Who may break a rule of `tidy`, and why. These lists only get shorter: an entry that is no
//! longer needed is itself an error.

/// A Rust file longer than this is more than one idea.
pub(super) const MAX_LINES: usize = 700;

/// Path, its lines at most, why it is one idea all the same.
pub(super) const LONG: &[(&str, usize, &str)] = &[];

/// Path, why its tests wait for a clock instead of for the thing itself.
pub(super) const SLEEPING: &[(&str, &str)] = &[];

/// Path, why it names a place on somebody's machine.
pub(super) const PLACES: &[(&str, &str)] = &[];
