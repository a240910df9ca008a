// Mends what the search page of Sphinx throws errors at; the index is there, and the search has not begun.

// A word such as "constructor" must not find what every object of JavaScript has.
const onlyOwn = Object.assign(Object.create(null), { hasOwnProperty: Object.prototype.hasOwnProperty });
for (const part of ["terms", "titleterms"]) Object.setPrototypeOf(Search._index[part], onlyOwn);

// A target without a text of its own, such as the one before a heading, is summed up by its page.
const summarise = Search.makeSearchSummary;
Search.makeSearchSummary = (page, words, anchor) => summarise(page, words, anchor) ?? summarise(page, words, "") ?? document.createElement("p");

// A page opened from a file cannot read the others for their summaries.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// What the reader types gets the spelling of the index.
const PorterStemmer = Stemmer;
Stemmer = function () {
  const porter = new PorterStemmer();
  this.stemWord = (word) => porter.stemWord(SPELLINGS.reduce((spelled, [from, to]) => spelled.replace(new RegExp(from), to), word));
};
