//! The messages of `jimbot.v1`, made by prost. Doubles may be infinite; absent and zero differ.
//!
//! prost forgets fields it does not know: to pass an event on, pass its bytes on.
pub mod v1 {
    include!("jimbot.v1.rs");
}
