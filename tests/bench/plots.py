"""Plots in SVG, written by hand: ratios to the goal, connect times, and a connect's TPM commands."""

from html import escape

FILES = {"ratios.svg": "ours / strongSwan, and the goals",
         "connect.svg": "connect to tunnel up",
         "overlap.svg": "a connect with a slow TPM, and its TPM commands"}
WIDTH, LEFT, RIGHT = 760, 250, 40
OURS, THEIRS, GOAL, GREY = "#1f6f8b", "#c8553d", "#222222", "#999999"


class Drawing:
    """An SVG of WIDTH by `height`, in pixels."""

    def __init__(self, height):
        self.height = height
        self.items = []

    def text(self, x, y, words, anchor="start", colour="#222222", size=12):
        self.items.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
                          f'font-size="{size}">{escape(words)}</text>')

    def bar(self, x, y, width, height, colour):
        self.items.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" '
                          f'height="{height:.1f}" fill="{colour}"/>')

    def line(self, points, colour, width=1.5, dash=""):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.items.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                          f'stroke-width="{width}"{dashes}/>')

    def write(self, path):
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" '
                f'width="{WIDTH}" height="{self.height}" font-family="sans-serif">')
        ground = f'<rect width="{WIDTH}" height="{self.height}" fill="white"/>'
        path.write_text("\n".join([head, ground, *self.items, "</svg>"]) + "\n")


def scale(most):
    """Maps 0 to `most` onto the width that is left for a plot."""
    return lambda value: LEFT + value / most * (WIDTH - LEFT - RIGHT)


def ratios(lines):
    """A bar for each line that has a ratio, and a mark where its goal is."""
    shown = [line for line in lines if line.compared]
    drawing = Drawing(50 + 28 * len(shown))
    place = scale(max([1.5, *(float(line.compared) for line in shown)]))
    for number, line in enumerate(shown):
        y = 20 + 28 * number
        drawing.text(LEFT - 8, y + 14, line.figure, "end", size=11)
        drawing.bar(LEFT, y, place(float(line.compared)) - LEFT, 18, OURS if line.reached else THEIRS)
        drawing.text(place(float(line.compared)) + 4, y + 14, line.compared, size=11)
        goal = place(float(line.goal))
        drawing.line([(goal, y - 3), (goal, y + 21)], GOAL, 2)
    bottom = 20 + 28 * len(shown)
    drawing.line([(place(1), 12), (place(1), bottom)], GREY, 1, "4 3")
    drawing.text(place(1), bottom + 16, "strongSwan = 1; the black marks are the goals", "middle", size=11)
    return drawing


def _shares(drawing, values, place, top, height, colour):
    """How many (upwards) took at most so long (to the right)."""
    ordered = sorted(values)
    points = [(place(value), top + height - height * (number + 1) / len(ordered))
              for number, value in enumerate(ordered)]
    drawing.line([(points[0][0], top + height), *points], colour, 2)


def _axis(drawing, place, most, y):
    drawing.line([(LEFT, y), (WIDTH - RIGHT, y)], GREY, 1)
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if most / step <= 10)
    for value in range(0, int(most) + 1, step):
        drawing.line([(place(value), y), (place(value), y + 4)], GREY, 1)
        drawing.text(place(value), y + 16, f"{value} ms", "middle", size=10)


def connects(results):
    """The cumulative shares of connect times, for each kind of key."""
    rows = [(row, title) for row, title in (("p256", "P-256"), ("rsa", "RSA-2048, group 14"))
            if row in results]
    drawing = Drawing(20 + 170 * len(rows))
    for number, (row, title) in enumerate(rows):
        top, found = 20 + 170 * number, results[row]["found"]
        times = {name: sorted(found[name]["ms"]) for name in ("Ours", "Strongswan")}
        # The slowest few of a noisy machine would squeeze all others to the left.
        most = 1.3 * max(each[int(0.98 * (len(each) - 1))] for each in times.values())
        place = scale(most)
        drawing.text(10, top + 20, f"connect to tunnel up, {title}", size=11)
        drawing.text(10, top + 40, "share of connects done by then", size=11, colour=GREY)
        drawing.text(10, top + 60, "ours", size=11, colour=OURS)
        drawing.text(10, top + 78, "strongSwan", size=11, colour=THEIRS)
        for name, colour in (("Ours", OURS), ("Strongswan", THEIRS)):
            _shares(drawing, [each for each in times[name] if each <= most], place, top, 120, colour)
        _axis(drawing, place, most, top + 120)
    return drawing


def overlap(results):
    """Connects with a slow TPM: IKE messages as marks, TPM commands as bars."""
    found = results["slow"]["found"]
    shown = [("ours, straight after start", found["Ours"]["starts"][0]),
             ("ours, after an idle second", found["Ours"]["idle"][0]),
             ("strongSwan, after an idle second", found["Strongswan"]["idle"][0])]
    height = 90
    drawing = Drawing(30 + height * len(shown) + 30)
    most = max(connect["ms"] for _, connect in shown) * 1.05
    place = scale(most)
    for number, (title, connect) in enumerate(shown):
        top = 30 + height * number
        init_request, init_response, auth_request, auth_response, up = connect["messages"]
        drawing.text(LEFT - 8, top + 20, title, "end", size=11)
        drawing.text(LEFT - 8, top + 36, "IKE messages", "end", GREY, 10)
        drawing.text(LEFT - 8, top + 58, "TPM commands", "end", GREY, 10)
        drawing.bar(place(init_request), top + 28, place(init_response) - place(init_request), 8, THEIRS)
        drawing.bar(place(auth_request), top + 28, place(auth_response) - place(auth_request), 8, THEIRS)
        drawing.line([(place(up), top + 22), (place(up), top + 64)], GOAL, 2)
        for index, (name, sent, answered) in enumerate(connect["commands"]):
            start, end = max(sent, 0), min(answered, most)
            drawing.bar(place(start), top + 48, place(end) - place(start) - 1, 12, OURS)
            drawing.text(place(start), top + 72 + 9 * (index % 2), name, size=8)
    drawing.text(LEFT, 16, "100 ms a TPM command, 20 ms round trip; red: the network and the SeGW; "
                 "black: tunnel up", size=11)
    _axis(drawing, place, most, 30 + height * len(shown))
    return drawing


def write(results, lines, folder):
    """Draws what there are rows for; {file: title} of that."""
    drawings = {}
    if any(line.compared for line in lines):
        drawings["ratios.svg"] = ratios(lines)
    if "p256" in results or "rsa" in results:
        drawings["connect.svg"] = connects(results)
    if "slow" in results:
        drawings["overlap.svg"] = overlap(results)
    for name, drawing in drawings.items():
        drawing.write(folder / name)
    return {name: FILES[name] for name in drawings}
