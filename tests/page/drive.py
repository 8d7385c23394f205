"""Uses the page of `pumua serve` as a person does, through chromedriver (W3C WebDriver), with the standard library alone.

drive.py PUMUA SCRATCH PICTURES AXE: the program, with that of the box beside it; a folder for files, in which box.pumua is a bundle; one
for pictures of the pages; and axe-core's script or nothing.
"""

import base64
import json
import pathlib
import re
import subprocess
import sys
import time
import urllib.request

PUMUA, SCRATCH, PICTURES, AXE = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[4]
MODEL = "tests/models/plain.onnx"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
TAB, ENTER, SPACE, DOWN = "\ue004", "\ue007", " ", "\ue015"
PATIENCE = 60


def ask(method, url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.read().decode()[:2000]) from error


class Browser:
    """A window of a browser."""

    def __init__(self, driver, width, height, scale=1):
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en"]
        options = {"args": arguments, "mobileEmulation": {"deviceMetrics": {
            "width": width, "height": height, "pixelRatio": scale, "mobile": scale > 1, "touch": scale > 1}}}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.url = f"{driver}/session"
        self.url += "/" + ask("POST", self.url, {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def go(self, address):
        ask("POST", f"{self.url}/url", {"url": address})

    def at(self):
        return ask("GET", f"{self.url}/url")

    def run(self, script, *arguments):
        return ask("POST", f"{self.url}/execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script):
        return ask("POST", f"{self.url}/execute/async", {"script": script, "args": []})

    def find(self, selector):
        return ask("POST", f"{self.url}/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector):
        ask("POST", f"{self.url}/element/{self.find(selector)}/click", {})

    def type(self, selector, text):
        ask("POST", f"{self.url}/element/{self.find(selector)}/value", {"text": text})

    def keys(self, *keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        ask("POST", f"{self.url}/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def text(self, selector="body"):
        return self.run("const found = document.querySelector(arguments[0]); return found ? found.innerText : ''", selector)

    def wait(self, what, script, *arguments):
        start = time.monotonic()
        while not (found := self.run("return " + script, *arguments)):
            assert time.monotonic() < start + PATIENCE, f"{what}: {self.at()}\n{self.text()}"
            time.sleep(0.1)
        return found

    def picture(self, name):
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return document.documentElement.clientWidth")
        shot = ask("POST", f"{self.url}/goog/cdp/execute", {"cmd": "Page.captureScreenshot", "params": {
            "captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}}})
        (PICTURES / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
        self.check(name)

    def logged(self):
        """What the browser has written into its log since it was last asked."""
        return [entry["message"] for entry in ask("POST", f"{self.url}/se/log", {"type": "browser"})]

    def check(self, name):
        """Nothing is wider than the window, nothing was forbidden, and axe-core has nothing to say."""
        wide = self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name}: {wide} pixels wider than the window"
        for message in self.logged():
            assert "favicon" in message, f"{name}: {message}"
        if AXE:
            # Set by the driver, not by the page: its policy lets no other script in.
            self.run(pathlib.Path(AXE).read_text() + "; window.axe = axe;")
            found = self.run_async("const done = arguments[0]; axe.run().then((it) => done([it.passes.length, it.violations.map("
                                   "(v) => v.id + ': ' + v.nodes.map((n) => n.html).join(' '))]))")
            assert found[0] > 10 and not found[1], f"{name}: {found}"

    def close(self):
        ask("DELETE", self.url)


def start(command, pattern):
    """Starts a program, and gives what its first matching line has after the pattern."""
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in program.stdout:
        if pattern in line:
            return program, line.split(pattern, 1)[1].strip()
    raise RuntimeError(f"{command} ended with {program.wait()}")


def dropped(browser, names, place="drop"):
    """Drops files on the page, as a hand does."""
    contents = [[name, base64.b64encode((SCRATCH / name).read_bytes()).decode()] for name in names]
    browser.run("""
        const data = new DataTransfer();
        for (const [name, text] of arguments[0])
            data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
        for (const kind of ["dragenter", "dragover", "drop"])
            document.getElementById(arguments[1]).dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
        """, contents, place)


ANSWERED = "document.querySelectorAll('#queue li[data-answered]').length === arguments[0]"


def distinct(film, name, count):
    """So many files of a film that differ from each other."""
    names = [f"{name}-{number}.png" for number in range(count)]
    for number, path in enumerate(names):
        (SCRATCH / path).write_bytes((SCRATCH / film).read_bytes() + name.encode() + bytes([number]))
    return names


def by_hand(browser, page, films):
    """One film by drag and drop, its verdict, what to do next, the clinician's answer, the slip."""
    browser.go(page)
    browser.picture("desktop-empty")
    dropped(browser, films[1:2])
    assert browser.run("return document.activeElement.matches('#queue input')"), "the exam is typed next"
    assert browser.text("#queue label").strip() == "Exam, to find it again", browser.text("#queue")
    assert "it cannot be added later" in browser.text("#ready"), "what it is for is told before the button"
    browser.type("#queue input", "ward-3_0017")
    browser.picture("desktop-dropped")
    browser.click("#judge")
    browser.wait("the verdict", "location.pathname.startsWith('/film/') && document.getElementById('live').dataset.waiting === '0'")
    said = browser.text(".card .word")
    assert said in ("NORMAL", "PNEUMONIA", "REFER"), said
    next_step = browser.text(".card .remedy")
    assert "clinician" in next_step and "this child's X-ray" in browser.text(".card .check"), browser.text(".card")
    seen = "const at = document.querySelector('.card .check').getBoundingClientRect(); return at.top >= 0 && at.bottom <= innerHeight"
    assert browser.run(seen), "what to do next is seen without scrolling"
    assert "ward-3_0017" in browser.text("h1") and "Research aid, not a medical device" in browser.text()
    browser.wait("the pictures", "[...document.images].length > 1 && [...document.images].every((i) => i.complete && i.naturalWidth > 0)")
    browser.picture("desktop-film")
    browser.click("input[value='pneumonia']")
    browser.click("#clinician button")
    browser.wait("the answer", "document.querySelector(\"input[value='pneumonia']\")?.checked && location.hash === '#clinician'")
    browser.click("a[href^='/slip/']")
    browser.wait("the slip", "document.querySelector('.slip') !== null")
    assert "PNEUMONIA" in browser.text(".says") and browser.text(".card .remedy") == next_step, browser.text(".slip")
    browser.picture("desktop-slip")
    ask("POST", f"{browser.url}/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"media": "print"}})
    told = browser.run("return [...document.querySelectorAll('.disclaimer')].filter((it) => it.getClientRects().length).length")
    assert told == 1, f"on paper it stands once: {told}"
    paper = {"paperWidth": 8.27, "paperHeight": 11.69}
    sheets = base64.b64decode(ask("POST", f"{browser.url}/goog/cdp/execute", {"cmd": "Page.printToPDF", "params": paper})["data"])
    count = len(re.findall(rb"/Type\s*/Page\b", sheets))
    assert count == 1, f"a slip is one sheet: {count}"
    ask("POST", f"{browser.url}/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"media": ""}})
    return said


def several(browser, page, films):
    """Several files, one of them no X-ray, one judged before; names that mean something in HTML."""
    browser.go(page)
    (SCRATCH / "<img src=x onerror=alert(1)>.png").write_bytes((SCRATCH / films[0]).read_bytes())
    (SCRATCH / "notes.txt").write_text("no X-ray")
    dropped(browser, ["<img src=x onerror=alert(1)>.png", "notes.txt", films[2]])
    assert browser.run("return document.querySelectorAll('#queue img').length") == 0
    browser.click("#judge")
    browser.wait("the answers", ANSWERED, 3)
    assert "NOT JUDGED" in browser.text("#queue") and browser.text("#status")
    browser.picture("desktop-several")
    browser.go(page)
    browser.type("input[name='q']", "ward-3" + ENTER)
    browser.wait("the search", "document.querySelectorAll('tbody tr').length === 1")
    for language in ("fr", "en"):
        browser.click(f".languages a[lang='{language}']")
        searched = "document.querySelectorAll('tbody tr').length === 1 && document.querySelector(\"input[name='q']\").value === 'ward-3'"
        browser.wait(f"the same search in {language}", f"document.documentElement.lang === arguments[0] && {searched}", language)
    browser.go(page)
    browser.type("input[name='q']", films[2] + ENTER)
    browser.wait("that nothing matches", "document.querySelector('.none')?.innerText.startsWith('Nothing matches this search.')")
    assert "Names of files are not kept." in browser.text(".none")
    browser.picture("desktop-no-match")
    browser.click(".none + p a")
    browser.wait("all films", "location.search === '' && document.querySelectorAll('tbody tr').length > 1")


def paged(browser, page, films):
    """More films than a page has."""
    browser.go(page)
    film = (SCRATCH / films[0]).read_bytes()
    for number in range(20):
        (SCRATCH / f"more-{number}.png").write_bytes(film + bytes([number]))
    dropped(browser, [f"more-{number}.png" for number in range(20)])
    browser.click("#judge")
    browser.wait("the answers", "document.querySelectorAll('#queue li[data-number]').length === 20 && document.getElementById('live').dataset.waiting === '0'")
    browser.go(page)
    browser.click("a[rel='next']")
    browser.wait("the older ones", "location.search.includes('page=1') && document.querySelectorAll('tbody tr').length === 5")
    browser.click("a[rel='prev']")
    browser.wait("the newer ones", "document.querySelectorAll('tbody tr').length === 20")
    browser.picture("desktop-list")


def many(browser, page, films):
    """More files at once than the list shows, and some while it is searched: each gets its answer in its row."""
    browser.go(page)
    dropped(browser, distinct(films[0], "many", 30))
    browser.click("#judge")
    browser.wait("30 answers", ANSWERED, 30)
    assert "Waiting" not in browser.text("#queue") + browser.text("#status")
    browser.run("document.querySelector('tbody').scrollIntoView()")
    browser.wait("small pictures", "[...document.querySelectorAll('tbody img.small')].some((it) => it.complete && it.naturalWidth > 0)")
    browser.picture("desktop-many")
    for query in ("?q=ward-3", "?show=normal", "?page=1"):
        browser.go(page + query)
        dropped(browser, distinct(films[1], f"found{query[-6:]}", 3))
        browser.click("#judge")
        browser.wait(f"the answers beside {query}", ANSWERED, 3)


def again(browser, page, films):
    """Files that are here already, twice the same in one go, and one as another exam."""
    browser.go(page)
    dropped(browser, [films[0], films[2], films[0]])
    browser.click("#judge")
    browser.wait("the answers", ANSWERED, 3)
    rows = browser.run("return [...document.querySelectorAll('#queue .done')].map((it) => it.innerText)")
    assert all(row.startswith("Here already: Record ") and row.split(": ")[-1].isupper() for row in rows), rows
    assert "Waiting" not in browser.text("#status"), browser.text("#status")
    browser.go(page)
    dropped(browser, films[1:2])
    browser.type("#queue input", "ward-3_0018")
    browser.click("#judge")
    browser.wait("the warning", "document.body.innerText.includes('The same X-ray was sent before: Exam ward-3_0017')")
    browser.picture("desktop-again")


def wrong(browser, page, films):
    """An exam that no exam is called, and files that are not sent: in the words of the page, at once."""
    for language, words in [("fr", "sans espaces"), ("pt", "sem espaços"), ("sw", "bila nafasi"), ("en", "no spaces")]:
        browser.go(page + f"?lang={language}")
        dropped(browser, films[3:4])
        browser.type("#queue input", "ward 3/17")
        browser.click("#judge")
        said = browser.run("return document.querySelector('#queue input').validationMessage")
        assert words in said and browser.run("return location.pathname") == "/", said
    browser.run("document.querySelector('#queue input').value = ''")
    browser.type("#queue input", "ward-3_17 ")
    browser.click("#judge")
    browser.wait("the film", "location.pathname.startsWith('/film/') && document.getElementById('live').dataset.waiting === '0'")
    browser.click("#clinician button")
    assert browser.run("return document.querySelector('#clinician input[type=radio]').validationMessage") == "Choose one of these answers"
    browser.click("input[value='other']")
    browser.click("#clinician button")
    browser.wait("the answer", "document.querySelector(\"input[value='other']\")?.checked && location.hash === '#clinician'")
    browser.go(page)
    browser.run("""
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(33 << 20)], "big.jpg"));
        data.items.add(new File([], "empty.png"));
        document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        """)
    said = browser.text("#status")
    assert said.startswith("big.jpg: Not sent: the file is larger than 32\u00a0MiB") and "empty.png: Not sent: the file is empty" in said, said
    assert browser.run("return document.getElementById('ready').hidden"), "there is nothing to judge"


def keyboard(browser, page, films):
    """The keyboard alone, from the first key on."""
    browser.go(page)
    browser.keys(TAB)
    assert browser.run("return document.activeElement.className") == "skip"
    browser.keys(ENTER, TAB)
    assert browser.run("return document.activeElement.id") == "files"
    # The system's window for choosing files is not of the page: what it gives is set.
    browser.type("#files", str(SCRATCH / films[3]))
    browser.keys(*"key-1", ENTER)
    browser.wait("the verdict", "location.pathname.startsWith('/film/') && document.getElementById('live').dataset.waiting === '0'")
    for _ in range(40):
        browser.keys(TAB)
        if browser.run("return document.activeElement.name") == "said":
            break
    browser.keys(SPACE, DOWN, TAB, ENTER)
    browser.wait("the answer", "document.querySelector(\"input[value='pneumonia']\")?.checked && location.hash === '#clinician'")


def in_hand(browser, page):
    """A chosen answer stays while other films come, also after a click beside it."""
    browser.go(page + "film/1")
    browser.click("input[value='other']")
    browser.click("h1")
    asked = "performance.getEntriesByType('resource').filter((it) => it.name.endsWith('/news')).length"
    status = browser.run_async("""
        const [done] = arguments;
        const headers = { "X-Pumua-Secret": document.querySelector("[name='secret']").value };
        fetch("/films?exam=later", { method: "POST", headers, body: "no X-ray either" }).then((answer) => done(answer.status));
        """)
    assert status == 201, status
    before = browser.run(f"return {asked}")
    browser.wait("the news", f"{asked} > arguments[0] + 1", before)
    assert browser.run("return document.querySelector(\"input[value='other']\").checked"), "the chosen answer is left alone"


def languages(browser, page):
    browser.go(page)
    for language, films, disclaimer in [("fr", "Radiographies", "Outil de recherche, pas un dispositif médical"),
                                        ("pt", "Radiografias", "Ferramenta de investigação"),
                                        ("sw", "Eksirei", "Zana ya utafiti"),
                                        ("en", "X-rays", "Research aid, not a medical device")]:
        browser.click(f".languages a[lang='{language}']")
        browser.wait(language, "document.documentElement.lang === arguments[0]", language)
        assert browser.text("h1") == films and disclaimer in browser.text("header"), browser.text()
        # It is kept.
        browser.go(page + "help")
        browser.picture(f"help-{language}")
        browser.go(page)
        assert browser.text("h1") == films
    browser.go(page + "state")
    browser.picture("desktop-state")


def narrow(driver, page, films):
    """A small phone on which a file is chosen, and a tablet."""
    browser = Browser(driver, 375, 667, 2)
    browser.go(page + "?lang=sw")
    assert browser.run("return document.querySelector('.drag').getClientRects().length") == 0, "there is nothing to drop"
    dropped(browser, films[4:5])
    seen = "const at = document.getElementById('judge').getBoundingClientRect(); return at.top >= 0 && at.bottom <= innerHeight"
    assert browser.run(seen), "the button is seen"
    browser.picture("phone-dropped")
    browser.close()
    browser = Browser(driver, 720, 1000)
    browser.go(page + "?lang=en")
    browser.picture("tablet-list")
    browser.close()


def phone(driver, page):
    browser = Browser(driver, 360, 740, 2)
    for name, path in [("list", ""), ("film", "film/1?lang=sw"), ("refused", "film/3?lang=fr"), ("help", "help?lang=pt"), ("slip", "slip/1?lang=en")]:
        browser.go(page + path)
        browser.picture(f"phone-{name}")
    browser.close()


def updated(driver, page):
    """A file that is no bundle, by keyboard, and a bundle for a box whose card has no room for it: it says so as the box does."""
    browser = Browser(driver, 1366, 768)
    browser.go(page + "state?lang=en")
    assert not browser.text("#update-now") and browser.text("#update-title") == "Update the box"
    browser.picture("desktop-update")
    (SCRATCH / "notes.pumua").write_text("no bundle")
    browser.type("#update-file", str(SCRATCH / "notes.pumua"))
    browser.wait("the button", "document.activeElement.matches('#update-ready button')")
    browser.keys(ENTER)
    browser.wait("the refusal", "document.getElementById('update-wrong').innerText.includes('(Code 421)')")
    # The browser logs that an answer was no success.
    assert all("/update" in message and "400" in message for message in browser.logged())
    assert browser.run("return document.activeElement.id") == "update-file", "another file can be chosen"
    browser.picture("desktop-update-wrong")
    dropped(browser, ["box.pumua"], "update-drop")
    browser.click("#update-ready button")
    browser.wait("what the box says", "document.getElementById('update-now').dataset.kind === 'refused'")
    said = browser.text("#update-said")
    assert said.startswith("The box does not take 9.8.7") and said.endswith("(Code 420)"), said
    assert browser.run("return document.getElementById('update-spoken').textContent") == said, "it is read out"
    assert not browser.run("return document.getElementById('update-form').hidden"), "another one can be sent"
    browser.picture("desktop-update-refused")
    browser.close()
    browser = Browser(driver, 360, 740, 2)
    browser.go(page + "state?lang=pt")
    assert browser.text("#update-said").startswith("O aparelho não aceita 9.8.7"), browser.text("#update")
    browser.picture("phone-update-refused")
    browser.close()


def main():
    subprocess.run([PUMUA, "synthetic", SCRATCH / "drawn", "--count", "6"], check=True, stderr=subprocess.DEVNULL)
    films = []
    for number, path in enumerate(sorted((SCRATCH / "drawn").rglob("*.png"))):
        films.append(f"film-{number}.png")
        (SCRATCH / films[-1]).write_bytes(path.read_bytes())
    driver, port = start(["chromedriver", "--port=0"], "started successfully on port ")
    serving = [PUMUA, "serve", "--store", SCRATCH / "store", "--model", MODEL, "--listen", "127.0.0.1:0", "--site", "North clinic"]
    pumua, page = start(serving, "http://")
    box, port_of_box = start([pathlib.Path(PUMUA).with_name("pumua-box"), "--simulate", "--state-dir", SCRATCH / "state", "--model", MODEL], "/dev/")
    forwarding = [PUMUA, "serve", "--store", SCRATCH / "forwarded", "--listen", "127.0.0.1:0", "--box", "--port", f"/dev/{port_of_box}"]
    forwards, page_of_box = start(forwarding, "http://")
    page, driver_at = f"http://{page}", f"http://127.0.0.1:{port.rstrip('.')}"
    try:
        browser = Browser(driver_at, 1366, 768)
        by_hand(browser, page, films)
        several(browser, page, films)
        phone(driver_at, page)
        keyboard(browser, page, films)
        languages(browser, page)
        paged(browser, page, films)
        in_hand(browser, page)
        many(browser, page, films)
        again(browser, page, films)
        wrong(browser, page, films)
        narrow(driver_at, page, films)
        browser.close()
        updated(driver_at, f"http://{page_of_box}")
    finally:
        for program in (pumua, forwards, box, driver):
            program.terminate()
            program.wait()
    print(f"the page was used by hand, keyboard and phone, and a box updated; axe-core {'checked' if AXE else 'left out'}")


main()
