"""The machinery of the book: recipes, exercises, diagrams, comparisons and reports. The package itself needs none."""
