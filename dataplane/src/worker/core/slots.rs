use crate::flow::Key;

/// Values that are found by a key which is never valid for a later value in the same place.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    /// Empty slots, the one used last on top.
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.value = Some(value);
            return Key { slot: index, generation: slot.generation };
        }
        let index = u32::try_from(self.slots.len()).expect("fewer values than descriptors");
        self.slots.push(Slot { generation: 0, value: Some(value) });
        Key { slot: index, generation: 0 }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation == key.generation { slot.value.as_mut() } else { None }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = (slot.generation + 1) & Key::GENERATION_MASK;
        self.free.push(key.slot);
        Some(value)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// Places for values, empty ones among them.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The key of the value in a place, if there is one.
    pub(crate) fn key_at(&self, index: usize) -> Option<Key> {
        let slot = self.slots.get(index)?;
        slot.value.as_ref()?;
        let index = u32::try_from(index).expect("fewer values than descriptors");
        Some(Key { slot: index, generation: slot.generation })
    }

    /// The keys of all values.
    pub(crate) fn keys(&self) -> Vec<Key> {
        (0..self.slots.len()).filter_map(|index| self.key_at(index)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_does_not_find_the_slots_next_value() {
        let mut slots = Slots::new();
        let first = slots.insert('a');
        let second = slots.insert('b');
        assert_eq!(slots.remove(first), Some('a'));
        let third = slots.insert('c');
        assert_eq!(third.slot, first.slot);
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get_mut(third), Some(&mut 'c'));
        assert_eq!(slots.keys(), [third, second]);
        slots.remove(second);
        assert!(!slots.is_empty());
        slots.remove(third);
        assert!(slots.is_empty() && slots.keys().is_empty());
    }
}
