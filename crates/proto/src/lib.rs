//! What bytes mean.
