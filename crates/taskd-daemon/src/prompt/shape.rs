//! What of a conversation is in its next request, so that the request fits the model's window.
//!
//! A pure fold over the turns: turn after turn is added as it is, and when the whole no longer fits
//! it is compacted to about 60 %. So between two compactions every request begins with the one
//! before it, which providers cache, and the same turns always give the same shape. Knows lengths
//! only; texts are made in `left_out`.

/// The last turns are kept as they are for as long as that fits.
const KEPT_TURNS: usize = 6;

/// What is left of the room for turns when it was compacted, in hundredths.
const TARGET: usize = 60;

/// Longest JSON of the words that stand for the rest of an output, in bytes.
pub(super) const REFERENCE_BYTES: usize = 300;

/// Longest JSON of what is shown of an output that is a reference, in bytes.
pub(super) const FIRST_BYTES: usize = 200;

/// Longest JSON of the line that stands for a turn, in bytes.
pub(super) const LINE_BYTES: usize = 240;

/// Longest JSON of the head of the block of lines, in bytes, and the shortest a block may be.
pub(super) const BLOCK_HEAD_BYTES: usize = 700;

/// Longest JSON of the block, in bytes: 2,000 tokens.
const BLOCK_BYTES: usize = 8_000;

/// JSON of a turn's parts, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// What stays with the turn: the reply, and everything of the answers but outputs.
    pub(super) fixed: usize,
    /// What people said after the turn; it stays also without the turn.
    pub(super) notes: usize,
    /// Outputs of tools, in order.
    pub(super) outputs: Vec<usize>,
}

impl Weight {
    /// The whole turn, with outputs of at most `shown` bytes each.
    fn bytes(&self, shown: usize) -> usize {
        let output = |len: &usize| (*len).min(shown_bytes(shown));
        self.fixed + self.notes + self.outputs.iter().map(output).sum::<usize>()
    }
}

/// What an output takes at most; a longer one is a reference.
pub(super) fn shown_bytes(shown: usize) -> usize {
    shown.max(FIRST_BYTES).saturating_add(REFERENCE_BYTES)
}

/// What is in the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The oldest turns that are a line each, or less.
    pub(super) folded: usize,
    /// For each turn how much of each output is shown, in bytes of JSON; of a longer output so much
    /// and a reference.
    pub(super) shown: Vec<usize>,
    /// Longest JSON of the block of lines, in bytes.
    pub(super) block_bytes: usize,
}

impl Shape {
    /// Everything, whatever its length.
    pub(super) fn whole(turns: usize) -> Self {
        Self { folded: 0, shown: vec![usize::MAX; turns], block_bytes: 0 }
    }
}

/// The shape of a request with these turns, of at most `limit` bytes of JSON, of which `head` are
/// there without any turn.
///
/// # Errors
///
/// The least that must be in it has so many bytes.
pub(super) fn shape(weights: &[Weight], head: usize, limit: usize) -> Result<Shape, usize> {
    let room = limit.saturating_sub(head);
    let mut fold = Fold {
        weights,
        head,
        limit,
        target: head + room / 100 * TARGET,
        short: 0,
        turns: 0,
        notes: 0,
        shape: Shape::default(),
    };
    for weight in weights {
        fold.shape.shown.push(usize::MAX);
        fold.turns += weight.bytes(usize::MAX);
        if !fold.fits() {
            fold.compact();
        }
    }
    if fold.fits() { Ok(fold.shape) } else { Err(fold.bytes()) }
}

/// The fold, after some of the turns.
struct Fold<'a> {
    weights: &'a [Weight],
    head: usize,
    limit: usize,
    target: usize,
    /// Outputs of turns before this one are references.
    short: usize,
    /// Bytes of the turns that are there.
    turns: usize,
    /// Bytes of what people said after turns that are not.
    notes: usize,
    shape: Shape,
}

impl Fold<'_> {
    fn bytes(&self) -> usize {
        self.head + self.turns + self.notes + block_bytes(&self.shape)
    }

    fn fits(&self) -> bool {
        self.bytes() <= self.limit
    }

    /// Old outputs first, then old turns; if that is not enough, the same with those that should
    /// stay, and at last the outputs that were asked for just now.
    fn compact(&mut self) {
        let last = self.shape.shown.len() - 1;
        let old = (last + 1).saturating_sub(KEPT_TURNS);
        self.shape.block_bytes = (self.limit / 8).clamp(BLOCK_HEAD_BYTES, BLOCK_BYTES);
        self.shorten(old);
        self.fold(old);
        let room = self.target.saturating_sub(self.head);
        if !self.fits() && room < self.outputs(last) {
            // What would not fit even alone is no reason to forget everything else.
            self.cut(last, room / 2);
        }
        if !self.fits() {
            self.shorten(last);
            self.fold(last);
        }
        if !self.fits() {
            let outputs = self.outputs(last);
            self.cut(last, (self.target + outputs).saturating_sub(self.bytes()));
        }
        if !self.fits() {
            self.shape.block_bytes = BLOCK_HEAD_BYTES;
        }
    }

    /// Makes outputs references, oldest first, of turns before `end`.
    fn shorten(&mut self, end: usize) {
        while self.target < self.bytes() && self.short < end {
            self.show(self.short, 0);
            self.short += 1;
        }
    }

    /// Takes turns out, oldest first, before `end`.
    fn fold(&mut self, end: usize) {
        while self.target < self.bytes() && self.shape.folded < end {
            let at = self.shape.folded;
            let weight = &self.weights[at];
            self.turns -= weight.bytes(self.shape.shown[at]);
            self.notes += weight.notes;
            self.shape.folded += 1;
            self.short = self.short.max(self.shape.folded);
        }
    }

    /// Gives each output of a turn its share of `room`, if all together take more.
    fn cut(&mut self, turn: usize, room: usize) {
        if room < self.outputs(turn) {
            self.show(turn, share(&self.weights[turn].outputs, room));
        }
    }

    fn outputs(&self, turn: usize) -> usize {
        let weight = &self.weights[turn];
        weight.bytes(self.shape.shown[turn]) - weight.fixed - weight.notes
    }

    fn show(&mut self, turn: usize, shown: usize) {
        let weight = &self.weights[turn];
        self.turns -= weight.bytes(self.shape.shown[turn]);
        self.turns += weight.bytes(shown);
        self.shape.shown[turn] = shown;
    }
}

/// The most a block of lines may take.
fn block_bytes(shape: &Shape) -> usize {
    match shape.folded {
        0 => 0,
        n => shape.block_bytes.min(BLOCK_HEAD_BYTES + n * LINE_BYTES),
    }
}

/// How much of each output can be shown if all of them are to take no more than `room`: short ones
/// are whole, and long ones share what these leave.
fn share(outputs: &[usize], mut room: usize) -> usize {
    let mut sorted = outputs.to_vec();
    sorted.sort_unstable();
    for (n, len) in sorted.iter().enumerate() {
        let fair = room / (sorted.len() - n);
        if fair < *len {
            return fair.saturating_sub(REFERENCE_BYTES);
        }
        room -= len;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_outputs_stay_whole_and_long_ones_share() {
        assert_eq!(share(&[100, 10_000, 20_000], 6_100), 3_000 - REFERENCE_BYTES);
        assert_eq!(share(&[100, 200], 300), usize::MAX);
        assert_eq!(share(&[1_000, 1_000], 100), 0);
    }

    fn weight(output: usize) -> Weight {
        Weight { fixed: 100, notes: 0, outputs: vec![output] }
    }

    /// Old outputs go first, then old turns, and the last six only if there is no other way.
    #[test]
    fn what_is_old_goes_first() {
        let mut turns = vec![weight(20_000); 4];
        turns.extend(vec![weight(2_000); 6]);
        let few = shape(&turns, 1_000, 80_000).expect("it fits");
        assert_eq!((few.folded, &few.shown[..3]), (0, &[0, 0, usize::MAX][..]));
        assert!(few.shown[2..].iter().all(|it| *it == usize::MAX));

        let many = shape(&vec![weight(2_000); 200], 1_000, 20_000).expect("it fits");
        assert!((190..=194).contains(&many.folded), "{}", many.folded);
        assert!(many.shown[194..].iter().all(|it| *it == usize::MAX));

        // One huge output takes half of the room, and the others stay.
        let huge = [weight(2_000), weight(2_000), weight(1_000_000)];
        let huge = shape(&huge, 1_000, 20_000).expect("it fits");
        assert_eq!((huge.folded, &huge.shown[..2]), (0, &[usize::MAX; 2][..]));
        assert!((5_000..6_000).contains(&huge.shown[2]), "{huge:?}");
    }

    /// The words for what is left out are no reason not to fit.
    #[test]
    fn the_block_is_short_where_there_is_little_room() {
        let mut turns = vec![Weight { fixed: 150, ..Weight::default() }; 12];
        turns.push(Weight { fixed: 10_000, ..Weight::default() });
        let tight = shape(&turns, 1_000, 12_000).expect("it fits");
        assert_eq!((tight.folded, tight.block_bytes), (12, BLOCK_HEAD_BYTES));
    }

    #[test]
    fn what_cannot_fit_says_how_much_it_is() {
        let turn = Weight { fixed: 9_000, notes: 0, outputs: vec![50_000] };
        assert_eq!(shape(&[], 5_000, 4_000), Err(5_000));
        let needs = shape(&[turn], 2_000, 10_000).expect_err("it does not fit");
        assert_eq!(needs, 2_000 + 9_000 + FIRST_BYTES + REFERENCE_BYTES);
    }
}
