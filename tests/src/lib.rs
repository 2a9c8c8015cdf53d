//! Test support: raw clients and proxies.
