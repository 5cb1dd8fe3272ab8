"""What tests are made with; docs/design/testing.md says which to use when."""
