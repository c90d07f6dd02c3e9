"""Boxes that ask for a prediction, their answers, and a list of them all.

A box titled "Predict" is followed by the cells that answer it, and by a
paragraph that says what they show. When a page is read the box gets a name;
when it is written, what the cells put out and that paragraph become one fold.
What readers type or choose is kept by `_static/guesses.js`. `{questions}`
lists every box of the book, around the text to show while there is no guess.
"""

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

LIST = "book/guesses"
WORDS = 6  # of a question, to name it by


class Questions(nodes.General, nodes.Element):
    """Where the list of all questions is to stand."""


def boxes(document) -> list[nodes.admonition]:
    """The boxes of a document that ask for a prediction."""
    return [box for box in document.findall(nodes.admonition)
            if box[0].astext() == "Predict"]


def name_boxes(app, document):
    """A name that outlives other boxes, since a reader's guess is kept under
    it, and a mark at the choices, if the box ends in a list of them."""
    chapter = app.env.docname.split("/")[-1]
    for box in boxes(document):
        words = box[1].astext().split()[:WORDS]
        box["ids"] = [nodes.make_id(f"predict {chapter} {' '.join(words)}")]
        box["classes"].append("predict")
        if isinstance(box[-1], nodes.bullet_list):
            box[-1]["classes"].append("choices")


def is_cell(node) -> bool:
    return node.get("nb_element") == "cell_code"


def stays_open(cell) -> bool:
    """Nothing shows in a figure with controls before they are moved."""
    return any(f'class="{kind}' in cell.astext()
               for kind in ("interactive", "gpt "))


class FoldAnswers(SphinxPostTransform):
    """Fold the answers: whoever reads on sees the code, guesses, opens."""

    default_priority = 198  # MyST-NB folds what is marked, at 199
    formats = ("html",)

    def run(self, **kwargs):
        if self.app.builder.name == "epub":
            return  # few of its readers can open a fold
        for box in boxes(self.document):
            after = box.parent[box.parent.index(box) + 1:]
            cells = after[:next((i for i, node in enumerate(after)
                                 if not is_cell(node)), len(after))]
            prose = next((node for node in after[len(cells):]
                          if not isinstance(node, nodes.Invisible)), None)
            answer = [part for cell in cells if not stays_open(cell)
                      for part in cell
                      if part.get("nb_element") == "cell_code_output"]
            if cells and isinstance(prose, nodes.paragraph):
                answer.append(prose)
            for part in answer:
                part.parent.remove(part)
            if answer:
                box.parent.insert(box.parent.index(cells[-1]) + 1,
                                  self.fold(box, answer))

    def fold(self, box, answer: list) -> nodes.container:
        """The answer of a box as one part that opens, named after it."""
        details = HideCodeCellNode("", *answer, classes=["above-output"],
                                   prompt_show="Show the answer",
                                   prompt_hide="Hide the answer")
        return nodes.container("", details, classes=["cell", "answer"],
                               ids=[box["ids"][0] + "-answer"])


class AllQuestions(SphinxDirective):
    """`{questions}`; its content shows while there is no guess."""

    has_content = True

    def run(self):
        empty = nodes.container(classes=["guesses"])
        self.state.nested_parse(self.content, self.content_offset, empty)
        return [empty, Questions()]


class ListQuestions(SphinxPostTransform):
    """Put every question of the book where the list is to stand."""

    default_priority = 5  # before references are resolved, at 10

    def run(self, **kwargs):
        for place in list(self.document.findall(Questions)):
            found = []
            for chapter in chapters(self.env):
                asked = boxes(self.env.get_doctree(chapter))
                if asked:
                    found += [self.heading(chapter),
                              nodes.enumerated_list("", *(
                                  self.item(chapter, box) for box in asked))]
            place.replace_self(found)

    def heading(self, chapter: str) -> nodes.rubric:
        title = self.env.titles[chapter]
        number = "".join(f"{n}. " for n in title.get("secnumber", []))
        return nodes.rubric("", number + title.astext())

    def item(self, chapter: str, box) -> nodes.list_item:
        """A question, and a link to where it was asked."""
        question = [part.deepcopy() for part in box[1:]]
        for part in question:
            for reference in part.findall(addnodes.pending_xref):
                reference["refdoc"] = LIST
        uri = self.app.builder.get_relative_uri(LIST, chapter)
        back = nodes.reference("", "Back to the question", internal=True,
                               refuri=f"{uri}#{box['ids'][0]}")
        return nodes.list_item("", *question, nodes.paragraph("", "", back),
                               ids=[box["ids"][0] + "-guess"])


def chapters(env) -> list[str]:
    """Every page that was read, in the order of the table of contents."""
    return [page for page in env.toctree_includes[env.config.root_doc]
            if page in env.all_docs]


def write_list_again(app, env) -> list[str]:
    """The list follows the boxes, whichever chapter they change in."""
    env.get_domain("math").data["has_equations"][LIST] = True
    return [LIST]


def setup(app):
    """Register the hooks."""
    app.add_node(Questions)
    app.add_directive("questions", AllQuestions)
    app.connect("doctree-read", name_boxes)
    app.connect("env-get-updated", write_list_again)
    app.add_post_transform(FoldAnswers)
    app.add_post_transform(ListQuestions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
