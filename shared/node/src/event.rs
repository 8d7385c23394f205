//! What happens at a node, for whoever sets consoles up. Titles of machines, never anything of a patient.

/// Kinds of what happens. Whoever shows it has the words; what fills them is in [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// C-ECHO was answered: calling title.
    Echo,
    /// X-rays were taken: how many, calling title, how many of them were there already.
    Taken,
    /// An association ended as it should in which nothing was asked for: calling title.
    Nothing,
    /// An association ended in which nothing was asked for any more.
    Idle,
    /// The console calls somebody else: that title, our own, our own.
    NotCalled,
    /// Nobody at this address may send.
    Stranger,
    /// Somebody with another title may send from this address: calling title.
    NotNamed,
    /// There are as many associations as there may be.
    Busy,
    /// No kind of image that is offered is taken: calling title.
    NoKind,
    /// No transfer syntax that is offered is taken: calling title.
    NoSyntax,
    /// What came is not of the protocol.
    Foreign,
    /// Too little came in its time.
    Slow,
    /// The connection broke in the middle of an X-ray.
    Cut,
    /// An X-ray is too large.
    TooLarge,
    /// An X-ray cannot be kept or judged now.
    NoRoom,
    /// An X-ray is not what was announced.
    OtherKind,
    /// An X-ray cannot be read.
    NotUnderstood,
}

impl What {
    /// Each of them.
    pub const ALL: [Self; 17] = [
        Self::Echo,
        Self::Taken,
        Self::Nothing,
        Self::Idle,
        Self::NotCalled,
        Self::Stranger,
        Self::NotNamed,
        Self::Busy,
        Self::NoKind,
        Self::NoSyntax,
        Self::Foreign,
        Self::Slow,
        Self::Cut,
        Self::TooLarge,
        Self::NoRoom,
        Self::OtherKind,
        Self::NotUnderstood,
    ];

    /// How many words fill its own.
    pub const fn places(self) -> usize {
        match self {
            Self::Taken | Self::NotCalled => 3,
            Self::Echo | Self::Nothing | Self::NotNamed | Self::NoKind | Self::NoSyntax => 1,
            _ => 0,
        }
    }

    /// Whether something has to be changed.
    pub const fn is_trouble(self) -> bool {
        !matches!(self, Self::Echo | Self::Taken | Self::Nothing | Self::Idle)
    }

    /// Whether a trouble before this has passed.
    pub const fn mends(self, trouble: Self) -> bool {
        match self {
            Self::Taken => true,
            // Who calls whom is right; of films it says nothing.
            Self::Echo => {
                matches!(trouble, Self::NotCalled | Self::Stranger | Self::NotNamed | Self::Busy | Self::Foreign)
            }
            _ => false,
        }
    }
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Of which kind it is.
    pub what: What,
    /// Titles that it is about. They are from outside: 16 characters at most, and none that is not to be seen.
    pub titles: Vec<String>,
    /// X-rays that were taken, and how many of them were there already.
    pub films: [u64; 2],
}

impl From<What> for Event {
    fn from(what: What) -> Self {
        Self::new(what, [])
    }
}

impl Event {
    /// One about these titles.
    pub fn new(what: What, titles: impl IntoIterator<Item = String>) -> Self {
        Self { what, titles: titles.into_iter().collect(), films: [0; 2] }
    }

    /// So many X-rays were taken, those that were there already among them.
    pub fn taken(calling: &str, films: u64, known: u64) -> Self {
        Self { films: [films, known], ..Self::new(What::Taken, [calling.to_owned()]) }
    }

    /// Whether it is the same but for numbers.
    pub fn is_like(&self, other: &Self) -> bool {
        self.what == other.what && self.titles == other.titles
    }

    /// Its words, with what fills their places ([`What::places`]), each of which is written `{}`.
    pub fn told(&self, words: &str) -> String {
        let [films, known] = self.films.map(|number| number.to_string());
        let filled = match self.what {
            What::Taken => [&[films][..], &self.titles, &[known]].concat(),
            _ => self.titles.clone(),
        };
        // Parted first: a title may hold what stands for a place.
        let mut parts = words.split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (part, filled) in parts.zip(&filled) {
            text.push_str(filled);
            text.push_str(part);
        }
        text
    }
}
