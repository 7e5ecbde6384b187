"""The page of a result in a real browser, by clicking: headless Chromium, where there is one.

A second script is let in for the test. It clicks, and writes what it sees into the page, which Chromium prints.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess

import pytest

import scfcmi

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium: this test clicks in a real browser")

PROBE = """
const seen = {errors: window.errors, steps: []};
const [clusters, batches, labels] = document.querySelectorAll("figure");
const colors = (figure) => {
  const canvas = figure.querySelector("canvas");
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const found = new Set();
  for (let i = 0; i < pixels.length; i += 4) {
    if (pixels[i + 3] === 255) {
      found.add("#" + [0, 1, 2].map((at) => pixels[i + at].toString(16).padStart(2, "0")).join(""));
    }
  }
  return [...found];
};
const step = (name) => seen.steps.push({
  name,
  shown: document.getElementById("shown").textContent,
  clusters: colors(clusters), batches: colors(batches),
  pressed: [...document.querySelectorAll(".legend button")].map((button) => button.getAttribute("aria-pressed")),
  lens: [...document.querySelectorAll("tr.lens")].map((row) => row.dataset.cluster),
});
const button = (figure, at) => figure.querySelectorAll("button")[at];
const row = (at) => document.querySelectorAll("tr[data-cluster]")[at];
step("start");
button(batches, 0).click(); step("one batch hidden");
button(batches, 0).click(); step("shown again");
row(1).click(); step("lens");
row(1).click(); step("lens off");
row(0).querySelector("button").click(); step("lens by keyboard");
document.getElementById("all").click(); step("all");
button(clusters, 2).dispatchEvent(new MouseEvent("click", {shiftKey: true})); step("alone");
document.getElementById("all").click();
const canvas = clusters.querySelector("canvas");
const box = canvas.getBoundingClientRect();
const at = (name) => {
  const raw = atob(JSON.parse(document.getElementById("cells").textContent)[name]);
  return 10 + (raw.charCodeAt(0) + 256 * raw.charCodeAt(1)) / 65535 * (canvas.clientWidth - 20);
};
canvas.dispatchEvent(new MouseEvent("click", {clientX: box.left + at("x"), clientY: box.top + at("y")}));
step("on a cell");
document.getElementById("all").click();
window.dispatchEvent(new Event("beforeprint")); step("paper"); window.dispatchEvent(new Event("afterprint"));
seen.fetched = performance.getEntriesByType("resource").map((entry) => entry.name);
seen.title = document.title;
document.body.innerHTML = "";
document.body.appendChild(document.createElement("pre")).textContent = JSON.stringify(seen);
"""
LISTEN = """
window.errors = [];
window.addEventListener("error", (event) => window.errors.push(String(event.message)));
document.addEventListener("securitypolicyviolation", (event) => window.errors.push(event.violatedDirective));
"""


@pytest.fixture
def clicked(clustered, put_map, tmp_path):
    """What the browser saw, step by step."""

    def click(names=("seqwell", "10x")) -> dict:
        put_map(clustered)
        clustered.obs["tech"] = clustered.obs["tech"].cat.remove_unused_categories().cat.rename_categories(names)
        path = tmp_path / "page.html"
        scfcmi.pl.report(clustered, path, label_key="label")
        text = path.read_text(encoding="utf-8")
        allowed = " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
            for script in (LISTEN, PROBE)
        )
        text = text.replace("script-src ", f"script-src {allowed} ", 1)
        text = text.replace("<title>", f"<script>{LISTEN}</script><title>", 1)
        path.write_text(text.replace("</body>", f"<script>{PROBE}</script></body>"), encoding="utf-8")
        words = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        words += ["--window-size=1200,1600", "--virtual-time-budget=2000", "--dump-dom", path.as_uri()]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
        found = re.search(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)
        assert found, done.stderr[-2000:]
        return json.loads(html.unescape(found[1]))

    return click


def test_clicks(clicked, clustered):
    seen = clicked()
    assert seen["errors"] == []
    assert seen["fetched"] == []
    steps = {step["name"]: step for step in seen["steps"]}
    sizes = clustered.obs["fcmi"].value_counts().sort_index().tolist()
    of_clusters, of_batches = ("#0072b2", "#e69f00", "#009e73"), ("#0072b2", "#e69f00")

    assert steps["start"]["shown"] == "240 of 240 cells shown"
    assert set(of_clusters) <= set(steps["start"]["clusters"])
    assert set(of_batches) <= set(steps["start"]["batches"])
    # A legend entry hides its cells, in all maps.
    hidden = steps["one batch hidden"]
    assert hidden["shown"] == "120 of 240 cells shown"
    assert of_batches[0] not in hidden["batches"]
    assert of_batches[1] in hidden["batches"]
    assert hidden["pressed"].count("false") == 1
    assert steps["shown again"]["clusters"] == steps["all"]["clusters"] == steps["start"]["clusters"]
    # A row shows its cluster, the others in gray.
    lens = steps["lens"]
    assert lens["shown"] == f"{sizes[1]} of 240 cells shown"
    assert lens["lens"] == ["1"]
    assert of_clusters[1] in lens["clusters"]
    assert not {of_clusters[0], of_clusters[2]} & set(lens["clusters"])
    assert "#dcdfe2" in lens["clusters"]
    assert steps["lens off"]["lens"] == []
    assert steps["lens by keyboard"]["lens"] == ["0"]
    assert steps["alone"]["shown"] == f"{sizes[2]} of 240 cells shown"
    # The first cell that is drawn is in one of the clusters, or its nearest neighbor on the map is.
    assert len(steps["on a cell"]["lens"]) == 1
    assert set(of_clusters) <= set(steps["paper"]["clusters"])


def test_names_run_nothing(clicked):
    seen = clicked(("<script>document.title = 'owned'</script>", "</script><img src=x onerror=document.title='owned'>"))
    assert seen["errors"] == []
    assert seen["fetched"] == []
    assert seen["title"] == "Clusters of scfcmi: scfcmi report"
