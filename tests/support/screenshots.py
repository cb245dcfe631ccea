"""Pictures of the status page for the documents, of the week that tests/support/page_sample.c makes up.

    screenshots.py PAGE-SAMPLE DIRECTORY
"""
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import chromium  # noqa: E402

SHOTS = [("status-page.png", 1212, 1096, False), ("status-page-phone.png", 390, 812, True)]


def main():
    page = subprocess.run([sys.argv[1]], capture_output=True, check=True).stdout
    browser = chromium.Chromium()
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "page.html"
        path.write_bytes(page)
        for name, width, height, dark in SHOTS:
            target = pathlib.Path(sys.argv[2]) / name
            browser.open(f"file://{path}", width, dark=dark).screenshot(target, height)
            print(f"{target}: {target.stat().st_size} octets")
    browser.close()


main()
