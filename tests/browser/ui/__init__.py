"""The UI as people see it: a real Home Assistant, a real browser, virtual cameras."""
