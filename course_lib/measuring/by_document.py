"""Each document by itself, as lm-evaluation-harness reads it (chapter 7).

The windows of `evaluate` lie evenly in a whole file, across documents, and
end-of-text after each is a token to be foreseen. Here they begin with their
document; the last one reaches back to be as long as the context, and what
was counted before is context only; end-of-text stands before the first token
and is never counted. So a token is foreseen from more text, and from none
of another document. Source: `loglikelihood_rolling` of Gao et al.,
lm-evaluation-harness.
"""

import numpy as np
import torch

from course_lib.model.loss import IGNORE


def document_windows(ids, context: int) -> np.ndarray:
    """(windows, 3) of a token file's ids: where the inputs of a window
    begin, where they end, and how many of its targets were counted in the
    window before. Raises ValueError where all documents are empty."""
    ends, found = np.flatnonzero(ids == ids[0]), []
    for begin, end in zip(ends.tolist(), ends[1:].tolist()):
        size = end - begin - 1  # tokens without end-of-text
        for counted in range(0, size, context):
            last = min(counted + context, size)
            first = max(0, last - context)
            found.append((begin + first, begin + last, counted - first))
    if not found:
        raise ValueError("the documents are empty: give some with text")
    return np.array(found)


def read_windows(ids, windows, context: int):
    """(ids, targets) of such windows, each (windows, context) int64; what
    does not count is a target of -100."""
    inputs = np.zeros((len(windows), context), np.int64)
    targets = np.full((len(windows), context), IGNORE)
    for row, (first, last, skip) in enumerate(windows):
        inputs[row, :last - first] = ids[first:last]
        targets[row, skip:last - first] = ids[first + 1 + skip:last + 1]
    return torch.from_numpy(inputs), torch.from_numpy(targets)
