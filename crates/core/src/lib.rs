//! What messages mean.
