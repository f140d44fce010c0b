"""Reads a page of `tidegate report` as HTML, says what is wrong with it, and prints its text."""

import html.parser
import sys

VOID = {"meta", "link", "br"}
KNOWN = VOID | set(
    "html head title style body a header h1 h2 h3 p bdi time main section table caption thead tbody tr th td span div dl dt dd"
    " strong figure figcaption b svg path desc details summary ul li code footer".split()
)
LANDMARKS = ["header", "main", "footer"]


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.wrong, self.text, self.ids, self.used = [], [], [], [], []
        self.tags, self.heading, self.drawings = {}, 0, []

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        given = dict(attributes)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag not in KNOWN:
            self.wrong.append(f"<{tag}> is no element of a page")
        for name, value in attributes:
            if name.startswith("on") or name in ("style", "src", "srcdoc", "action", "formaction", "xlink:href"):
                self.wrong.append(f"<{tag}> has {name}={value!r}")
            if name == "href" and not (value.startswith("#") or (tag == "link" and value.startswith("data:image/svg+xml,"))):
                self.wrong.append(f"<{tag}> leads to {value!r}")
            if name in ("aria-labelledby",):
                self.used += value.split()
            if name == "href" and value.startswith("#"):
                self.used.append(value[1:])
        if len(set(names)) != len(names):
            self.wrong.append(f"<{tag}> has an attribute twice: {names}")
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "meta" and given.get("http-equiv", "Content-Security-Policy") != "Content-Security-Policy":
            self.wrong.append(f"<meta> does {given['http-equiv']}")
        if tag == "html" and given.get("lang") != "en":
            self.wrong.append("the page has no language")
        if tag == "th" and given.get("scope") not in ("col", "row"):
            self.wrong.append("a <th> has no scope")
        if tag in ("h1", "h2", "h3"):
            if int(tag[1]) > self.heading + 1:
                self.wrong.append(f"<{tag}> follows <h{self.heading}>")
            self.heading = int(tag[1])
        if tag == "svg":
            self.drawings.append({"role": given.get("role"), "title": False, "desc": False})
        if tag in ("title", "desc") and self.drawings and "svg" in self.open:
            self.drawings[-1][tag] = True
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> ends nothing")

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    def handle_comment(self, data):
        self.wrong.append(f"a comment: {data!r}")


page = Page()
text = sys.stdin.read()
page.feed(text)
page.close()
wrong = page.wrong
wrong += [f"<{tag}> does not end" for tag in page.open]
wrong += [f"{page.tags.get(tag, 0)} of <{tag}>" for tag in LANDMARKS + ["h1"] if page.tags.get(tag) != 1]
wrong += [f"the id {id!r} is there twice" for id in set(page.ids) if page.ids.count(id) > 1]
wrong += [f"nothing has the id {id!r}" for id in set(page.used) - set(page.ids)]
wrong += [f"a drawing without words: {one}" for one in page.drawings if one != {"role": "img", "title": True, "desc": True}]
wrong += ["an address of another place" for word in ("http://", "https://") if word in text.replace("http://www.w3.org/2000/svg", "") and word not in "".join(page.text)]
for one in wrong:
    print(one, file=sys.stderr)
print("\n".join(page.text))
sys.exit(1 if wrong else 0)
