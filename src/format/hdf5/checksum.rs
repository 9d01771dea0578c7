//! The checksum of HDF5's metadata blocks: Bob Jenkins's lookup3 (`hashlittle`), with the initial value 0.

/// Rotations of the rounds between blocks of 12 bytes, and of those after the last.
const MIX: [u32; 6] = [4, 6, 8, 16, 19, 4];
const FINAL: [u32; 7] = [14, 11, 25, 16, 4, 14, 24];

/// The checksum of these bytes.
pub(super) fn lookup3(bytes: &[u8]) -> u32 {
    // The length counts modulo 2^32, as in C.
    let mut state = [0xdead_beef_u32.wrapping_add(bytes.len() as u32); 3];
    let mut rest = bytes;
    while rest.len() > 12 {
        let (block, after) = rest.split_at(12);
        add(&mut state, block);
        for (round, rotation) in MIX.into_iter().enumerate() {
            let (x, y, z) = (round % 3, (round + 2) % 3, (round + 1) % 3);
            state[x] = state[x].wrapping_sub(state[y]) ^ state[y].rotate_left(rotation);
            state[y] = state[y].wrapping_add(state[z]);
        }
        rest = after;
    }
    if !rest.is_empty() {
        add(&mut state, rest);
        for (round, rotation) in FINAL.into_iter().enumerate() {
            let (x, y) = ((round + 2) % 3, (round + 1) % 3);
            state[x] = (state[x] ^ state[y]).wrapping_sub(state[y].rotate_left(rotation));
        }
    }
    state[2]
}

/// Adds up to 12 bytes to the state as three little-endian words; what is missing counts as zeros.
fn add(state: &mut [u32; 3], block: &[u8]) {
    for (index, &byte) in block.iter().enumerate() {
        let word = &mut state[index / 4];
        *word = word.wrapping_add(u32::from(byte) << (8 * (index % 4)));
    }
}
