/// One of the balancer's services, by its place among the ports that clients connect to: where to look
/// in whatever there is one of for each service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceIndex(u8);

impl ServiceIndex {
    /// Most services of one process.
    pub const COUNT_MAX: usize = 32;

    /// The first one, and the only one where there are not several.
    pub const FIRST: Self = Self(0);

    /// The first services, so many.
    ///
    /// # Panics
    /// When there are more than [`ServiceIndex::COUNT_MAX`].
    pub fn first(count: usize) -> impl ExactSizeIterator<Item = Self> {
        assert!(count <= Self::COUNT_MAX, "the configuration allows no more");
        (0..count).map(Self::new)
    }

    /// The one at this place, counted from 0.
    ///
    /// # Panics
    /// When there cannot be one.
    pub fn new(place: usize) -> Self {
        assert!(place < Self::COUNT_MAX, "the configuration allows no more");
        Self(u8::try_from(place).expect("COUNT_MAX fits"))
    }

    /// Its place, counted from 0.
    pub fn place(self) -> usize {
        self.0.into()
    }
}
