//! What a terminal shows that was told these bytes: as much of one as the monitor uses.
//!
//! Colours are not kept; that some were asked for is.

/// See the module.
#[derive(Debug)]
pub(crate) struct Screen {
    rows: Vec<Vec<char>>,
    at: (usize, usize),
    /// Bytes that are the beginning of something.
    open: Vec<u8>,
    /// A colour was asked for.
    pub(crate) coloured: bool,
    /// The mouse is asked for.
    pub(crate) mouse: bool,
}

impl Screen {
    pub(crate) fn new(columns: usize, rows: usize) -> Self {
        let rows = vec![vec![' '; columns]; rows];
        Self { rows, at: (0, 0), open: Vec::new(), coloured: false, mouse: false }
    }

    /// What is seen, without the spaces at the ends of lines.
    pub(crate) fn text(&self) -> String {
        let lines = self.rows.iter().map(|it| it.iter().collect::<String>().trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Takes in what a program wrote.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.open.extend_from_slice(bytes);
        let taken = std::mem::take(&mut self.open);
        let mut rest = taken.as_slice();
        while let Some(n) = self.one(rest) {
            rest = &rest[n..];
        }
        self.open = rest.to_vec();
    }

    /// Takes in one character or sequence and says how long it is; nothing if it is not whole.
    fn one(&mut self, bytes: &[u8]) -> Option<usize> {
        match bytes {
            [] | [0x1b] | [0x1b, b'['] => None,
            [0x1b, b'[', rest @ ..] => {
                let end = rest.iter().position(|it| (0x40..0x7f).contains(it))?;
                let told = String::from_utf8_lossy(&rest[..end]).into_owned();
                self.obey(&told, rest[end]);
                Some(end + 3)
            }
            [0x1b, b'(' | b')', _, ..] => Some(3),
            [0x1b, b'(' | b')'] => None,
            [0x1b, ..] => Some(2),
            [b'\r', ..] => {
                self.at.1 = 0;
                Some(1)
            }
            [b'\n', ..] => {
                self.at.0 += 1;
                Some(1)
            }
            [0..=0x1f, ..] => Some(1),
            [first, ..] => {
                let len = match first {
                    0..0xc0 => 1,
                    0xc0..0xe0 => 2,
                    0xe0..0xf0 => 3,
                    0xf0.. => 4,
                };
                let text = String::from_utf8_lossy(bytes.get(..len)?).into_owned();
                let (row, column) = self.at;
                if let Some(cell) = self.rows.get_mut(row).and_then(|it| it.get_mut(column)) {
                    *cell = text.chars().next().unwrap_or(' ');
                }
                self.at.1 += 1;
                Some(len)
            }
        }
    }

    fn obey(&mut self, told: &str, what: u8) {
        let numbers: Vec<usize> =
            told.trim_start_matches('?').split(';').filter_map(|it| it.parse().ok()).collect();
        let number = |at: usize| numbers.get(at).copied().unwrap_or(1);
        match what {
            b'H' => self.at = (number(0).saturating_sub(1), number(1).saturating_sub(1)),
            b'J' => self.rows.iter_mut().flatten().for_each(|it| *it = ' '),
            b'm' => self.coloured |= told.contains("38;5") || told.contains("48;5"),
            b'h' => self.mouse |= numbers.contains(&1000),
            b'l' => self.mouse &= !numbers.contains(&1000),
            _ => {}
        }
    }
}
