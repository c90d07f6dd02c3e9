// How the search ranks what it finds: chapters first, the package's reference
// last, whatever the index or a name's match would give them.
var Scorer = {
  score: ([page, , , , score]) => score +
    (page.startsWith("notebooks/") ? 200 : page.startsWith("book/api/") ? -200 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
