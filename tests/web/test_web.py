# SPDX-License-Identifier: MIT
"""The page of `make web` in headless Chromium: the kernel boots, answers, and its tables are drawn.

Every test also fails on a console error and on a request that leaves the page's origin (conftest).
"""
import pytest

HERE = 0x40000000


def colour(page, canvas, cell):
    """The colour in the middle of a cell of the first row, as the browser has drawn it."""
    return page.value(f"""(() => {{
        const copy = document.createElement("canvas").getContext("2d");
        const ratio = window.devicePixelRatio || 1;
        copy.drawImage(document.getElementById("{canvas}"), -ratio * (88 + {cell} * 10 + 4), -ratio * 6);
        return [...copy.getImageData(0, 0, 1, 1).data]; }})()""")


def count_of(page, kind):
    """How many frames the legend says are of a kind."""
    return int(page.value(f"document.querySelector('#legend [data-kind=\"{kind}\"] b').innerText"))


def until_count(page, kind, count):
    page.until(f"document.querySelector('#legend [data-kind=\"{kind}\"] b').innerText == {count}")


def test_the_kernel_boots_and_meminfo_answers(page):
    text = page.run("meminfo")
    assert "physical memory" in text and "page tables" in text and "heap" in text
    assert "own tables at" in page.value("twinpage.terminal.text()")


def test_the_screen_shows_what_the_serial_line_says(page):
    screen = page.element("screen").text
    assert "twinpage>" in screen, screen


def test_the_page_reads_the_same_tables_as_the_kernel(page):
    agree = page.until("twinpage.state.agree")
    assert agree["found"] == [] and agree["pages"] > 100
    assert "agree on" in page.element("agree").text
    report = page.driver.execute_async_script(
        "const done = arguments[0]; twinpage.machine.ask('ptdump').then(done)")
    assert int(report["cr3"], 16) == page.value("twinpage.state.view.root")


def test_mapping_shows_in_every_picture_and_goes_again(page):
    tables, free = count_of(page, "page tables"), count_of(page, "free")
    page.driver.execute_script(f"twinpage.follow({HERE})")
    blank = colour(page, "table", 1)
    page.run(f"map {HERE:#x} 3")
    try:
        page.until("twinpage.state.view.tables.has(256)")
        until_count(page, "user", 3)
        assert (count_of(page, "page tables"), count_of(page, "free")) == (tables + 1, free - 4)
        assert colour(page, "table", 1) != blank
        assert "can be read and written" in page.element("verdict").text
        assert f"mapped 3 pages at {HERE:#010x}" in page.element("log").text
        page.run(f"protect {HERE:#x} r")
        page.until("document.getElementById('verdict').innerText.includes('only be read')")
    finally:
        page.run(f"unmap {HERE:#x} 3")
    page.until("!twinpage.state.view.tables.has(256)")
    until_count(page, "free", free)
    assert "Nothing is mapped" in page.element("verdict").text


def test_the_heap_grows_before_your_eyes(page):
    assert count_of(page, "heap") < 75, "300K are 75 frames"
    page.run("grab 300K")
    page.until("document.querySelector('#legend [data-kind=heap] b').innerText >= 75")
    page.until("document.getElementById('log').innerText.includes('heap +')")
    page.run("drop")


def test_an_address_is_followed_to_its_frame(page):
    field = page.element("address")
    field.clear()
    field.send_keys("0xc0101234")
    assert "byte 0x234 of the frame at 0x00101000" in page.element("verdict").text
    drawing = page.element("follow").get_attribute("innerHTML")
    assert "directory [768]" in drawing and "table [257]" in drawing and "0x00101234" in drawing


@pytest.mark.parametrize("change, words", [
    ("view.tables.get(768)[257] ^= 2", "0xc0101000"),             # write protection is gone
    ("view.tables.get(768)[258] = 0", "the tables do not"),       # a page is missing
    ("view.tables.get(768)[259] += 0x1000", "0xc0103000"),        # another frame
    ("view.tables.get(768)[9] = 0x9003", "the kernel nothing"),   # a page too many
])
def test_a_wrong_entry_is_noticed(page, change, words):
    """The comparison is not deaf: one entry changed in the page's copy is one difference."""
    found = page.driver.execute_async_script(f"""
        const done = arguments[0];
        import("./walker.js").then(async walker => {{
            const report = await twinpage.machine.ask(
                "ptdump", () => walker.readTables(twinpage.machine));
            const view = report.seen;
            {change};
            done(walker.differences(view, report).found);
        }});""")
    assert len(found) == 1 and words in found[0], found


def test_the_two_readers_agree_while_the_tables_change(page):
    """Every answer is compared with what the tables were at that moment, not a moment later."""
    page.driver.execute_script("""
        twinpage.wrong = [];
        twinpage.watch = setInterval(() => {
            const {agree, kinds} = twinpage.state;
            twinpage.wrong.push(...agree.found);
            if (document.querySelector('[data-kind="free, yet in use"] b').innerText != "0")
                twinpage.wrong.push("free, yet in use");
        }, 20);""")
    for n in range(12):
        page.run(f"map {HERE:#x} {n * 40 + 1}; unmap {HERE:#x} {n * 40 + 1}; grab 90K; drop")
    assert page.value("(clearInterval(twinpage.watch), twinpage.wrong)") == []


def test_a_panic_is_shown_and_reset_starts_afresh(page):
    page.element("terminal").send_keys("fault panic\n")
    page.until("twinpage.terminal.text().includes('verdict fail')")
    page.until("document.getElementById('state').innerText.includes('halted')")
    page.element("restart").click()
    page.until("twinpage.state.ready && twinpage.state.kinds && "
               "document.getElementById('state').innerText == 'at its prompt'")
    assert "total" in page.run("meminfo")
