"""Support for the book: recipes, exercises, diagrams, comparisons and reports. The library does not need it."""
