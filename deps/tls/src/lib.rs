//! Nothing: this crate only fetches and builds AWS-LC, its C headers and archives are what is wanted.
