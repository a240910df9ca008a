// The functions that make the modules, by name, where `element.py` has bundled them into one script: a Web Worker gets its
// script from these, as a page opened from a file can load no other. Empty where modules are loaded one by one.

export const sources = {};
