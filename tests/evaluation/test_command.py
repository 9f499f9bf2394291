"""``ranklet eval`` from end to end, in processes of its own, on the tiny bundle."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import ir_measures
import msgspec
import pytest

from ranklet.evaluation.request import Reading
from ranklet.runtime.manifest import VariantReport, read_manifest, write_manifest
from ranklet.runtime.reranker import Reranker

from .conftest import QUERIES, write_collection

BLOCKER = """
import sys
for name in ("bm25s", "ir_measures", "rich", "scipy"):
    sys.modules[name] = None
from ranklet.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


class Eval:
    """Calls the command with a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"

    def __call__(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-m", "ranklet.cli", "eval", *map(str, words)]
        environment = os.environ | {"XDG_CACHE_HOME": str(self.cache)}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    def report(self, *words: str | Path) -> dict[str, Any]:
        result = self(*words, "--json")
        assert result.returncode == 0, result.stderr
        report: dict[str, Any] = json.loads(result.stdout)
        return report

    @property
    def cache_files(self) -> list[Path]:
        return sorted(self.cache.rglob("*.jsonl"))


@pytest.fixture
def evaluate(tmp_path: Path) -> Eval:
    return Eval(tmp_path)


@pytest.mark.parametrize(
    ("words", "reading"),
    [
        ((), Reading()),
        (("--max-length", "24"), Reading(window_tokens=24)),
        (("--max-windows", "3"), Reading(max_windows=3)),
    ],
    ids=["window", "less of it", "windows"],
)
def test_as_much_is_read_as_is_asked_for(
    words: tuple[str, ...], reading: Reading, evaluate: Eval, tiny_bundle: Path, tmp_path: Path
) -> None:
    document = " ".join(f"{number} birds sing in spring" for number in range(100))
    data, runs = tmp_path / "long", tmp_path / "runs"
    data.mkdir()
    corpus = [{"_id": "a", "text": document}, {"_id": "b", "text": "snow"}]
    (data / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)) + "\n")
    (data / "queries.jsonl").write_text('{"_id": "1", "text": "what do birds do"}\n')
    (data / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n1\tb\t0\n")
    plain = ("--model", tiny_bundle, "--variant", "fp32", "--data", data)
    evaluate.report(*plain)  # whose scores are kept, and are not those of another reading
    evaluate.report(*plain, *words, "--save-runs", runs)
    lines = [line.split() for line in next(runs.glob("*fp32*")).read_text().splitlines()]
    found = {document: float(score) for _, _, document, _, score, _ in lines}
    with Reranker.open(
        tiny_bundle, variant="fp32", window_tokens=reading.window_tokens
    ) as reranker:
        [logit] = reranker.score(
            "what do birds do", [document], raw_scores=True, max_windows=reading.max_windows
        )
    assert found["a"] == pytest.approx(float(logit), abs=1e-5)


class TestReport:
    def test_json(self, evaluate: Eval, tiny_bundle: Path, collection_folder: Path) -> None:
        report = evaluate.report("--model", tiny_bundle, "--data", collection_folder)
        assert report["metrics"] == ["nDCG@10", "RR@10", "AP"]
        assert {"date", "command", "processor", "versions"} <= set(report["environment"])
        [facts] = report["collections"]
        assert (facts["name"], facts["queries"], facts["pairs"]) == ("few", 3, 7)
        rows = report["rows"]
        assert [(row["model"], row["variant"]) for row in rows] == [
            ("first stage", "bm25_top100.trec"),
            ("tiny", "fp32"),
            ("tiny", "int8"),
            ("tiny", "int8-avx2"),
        ] or "int8" not in {row["variant"] for row in rows}  # a processor without dot products
        assert rows[0]["pairs_per_s"] is None
        assert rows[1]["pairs_per_s"] > 0
        assert rows[1]["size_bytes"] == (tiny_bundle / "fp32.onnx").stat().st_size
        assert rows[1]["against_first"] == {}
        assert {"difference", "difference_interval", "kept", "kept_interval", "p_value"} == set(
            rows[2]["against_first"]["AP"]
        )
        assert report["means"] == []
        assert (report["depth"], facts["queries_without_documents"]) == (100, 0)

    def test_a_depth_is_told_where_something_is_ranked(
        self, evaluate: Eval, tiny_bundle: Path, folder_without_run: Path, tmp_path: Path
    ) -> None:
        ranked = write_collection(tmp_path / "ranked")
        words = ("--model", tiny_bundle, "--variant", "fp32", "--html", tmp_path / "page.html")
        for folders, depth, told in (
            ([folder_without_run], None, "all judged documents reranked"),
            ([ranked], 7, "the best 7 documents of the first stage reranked"),
            ([ranked, folder_without_run], 7, "first stage, where it is judged all, reranked"),
        ):
            report = evaluate.report(*words, "--depth", "7", "--data", *folders)
            assert report["depth"] == depth
            assert told in (tmp_path / "page.html").read_text()

    def test_queries_without_documents_are_told(
        self, evaluate: Eval, tiny_bundle: Path, collection_folder: Path
    ) -> None:
        (collection_folder / "one.trec").write_text("q2 Q0 soap 1 1.0 mine\n")
        words = ("--model", tiny_bundle, "--data", collection_folder, "--variant", "fp32")
        told = "first stage one.trec; 2 queries without documents, counted 0"
        assert told in evaluate(*words, "--run", "one.trec").stdout
        [facts] = evaluate.report(*words, "--run", "one.trec")["collections"]
        assert facts["queries_without_documents"] == 2

    @pytest.mark.parametrize(
        "words", [("--variant", "fp32", "int8-avx2"), ("--variants", "fp32,int8-avx2")]
    )
    def test_variants_are_named_with_commas_or_blanks(
        self, words: tuple[str, ...], evaluate: Eval, tiny_bundle: Path, collection_folder: Path
    ) -> None:
        report = evaluate.report("--model", tiny_bundle, "--data", collection_folder, *words)
        assert [row["variant"] for row in report["rows"][1:]] == ["fp32", "int8-avx2"]

    def test_quality_is_what_the_model_ranks(
        self, evaluate: Eval, tiny_bundle: Path, collection_folder: Path
    ) -> None:
        """The words lead q1 and q2 right and q3 astray; the first stage has q1 wrong, too."""
        report = evaluate.report(
            *("--model", tiny_bundle, "--data", collection_folder),
            *("--variant", "fp32", "--metrics", "RR(rel=2)@10,RR@10"),
        )
        first_stage, model = report["rows"]
        assert model["quality"] == {
            "RR(rel=2)@10": pytest.approx(1 / 3),
            "RR@10": pytest.approx((1 + 1 + 1 / 2) / 3),
        }
        assert first_stage["quality"]["RR(rel=2)@10"] == pytest.approx(1 / 2 / 3)
        difference = first_stage["against_first"]["RR(rel=2)@10"]["difference"]
        assert difference == pytest.approx(-1 / 6)

    def test_several_collections_have_a_mean(
        self, evaluate: Eval, tiny_bundle: Path, collection_folder: Path, folder_without_run: Path
    ) -> None:
        report = evaluate.report(
            *("--model", tiny_bundle, "--variant", "fp32", "int8"),
            *("--data", collection_folder, folder_without_run),
        )
        rows = [row for row in report["rows"] if row["model"] == "tiny"]
        assert [row["collection"] for row in rows] == ["few", "few", "judged", "judged"]
        [mean, _] = report["means"]
        expected = (rows[0]["quality"]["AP"] + rows[2]["quality"]["AP"]) / 2
        assert mean["quality"]["AP"] == pytest.approx(expected)

    def test_equal_names_give_way_to_folders(
        self, evaluate: Eval, tiny_bundle: Path, tmp_path: Path
    ) -> None:
        copy = shutil.copytree(tiny_bundle, tmp_path / "copy")
        folders: list[Path] = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            folders.append(write_collection(tmp_path / name / "few"))
        report = evaluate.report(
            "--model", tiny_bundle, copy, "--variant", "fp32", "--data", *folders
        )
        assert {row["collection"] for row in report["rows"]} == {str(folder) for folder in folders}
        assert [row["model"] for row in report["means"]] == [str(tiny_bundle), str(copy)]

    def test_a_bundle_with_a_verification_report(
        self, evaluate: Eval, tiny_bundle: Path, collection_folder: Path, tmp_path: Path
    ) -> None:
        """As every exported bundle has it."""
        copy = shutil.copytree(tiny_bundle, tmp_path / "copy")
        manifest = read_manifest(copy)
        verified = VariantReport(0.0, 0.0, 1.0, passed=True, session_options={"a": "b"})
        variants = {
            name: msgspec.structs.replace(variant, report=verified)
            for name, variant in manifest.variants.items()
        }
        write_manifest(copy, msgspec.structs.replace(manifest, variants=variants))
        report = evaluate.report("--model", copy, "--data", collection_folder)
        assert {row["model"] for row in report["rows"]} == {"first stage", "tiny"}

    def test_the_table_shows_everything(
        self, evaluate: Eval, tiny_bundle: Path, collection_folder: Path
    ) -> None:
        result = evaluate("--model", tiny_bundle, "--data", collection_folder)
        assert result.returncode == 0, result.stderr
        title, header, first_stage, fp32, int8, *_ = result.stdout.splitlines()
        assert title == "few: 3 queries, 7 pairs, first stage bm25_top100.trec"
        assert header.split() == ["model", "variant", "size", "pairs/s", "nDCG@10", "RR@10", "AP"]
        assert first_stage.startswith("first stage  bm25_top100.trec")
        assert re.match(r"tiny +fp32 +0\.0 MB +\d+ +0\.\d{4} +0\.\d{4} +0\.\d{4}", fp32)
        interval = r"[+-]0\.\d{4} to [+-]0\.\d{4}"
        assert re.search(rf"0\.\d{{4}} [+-]0\.\d{{4}} \({interval}, p=\d\.\d{{3}}\)", int8)
        assert "paired two-sided randomization test" in " ".join(result.stdout.split())
        assert result.stderr == ""


class TestFiles:
    def test_runs_give_other_tools_the_same_figures(
        self, evaluate: Eval, tiny_bundle: Path, collection_folder: Path, tmp_path: Path
    ) -> None:
        report = evaluate.report(
            *("--model", tiny_bundle, "--data", collection_folder, "--variant", "fp32"),
            *("--run", "bm25", "--save-runs", tmp_path / "runs", "--metrics", "nDCG@10,AP"),
        )
        rows = (line.split("\t") for line in _lines(collection_folder / "qrels.tsv")[1:])
        qrels: dict[str, dict[str, int]] = {}
        for query, document, relevance in rows:
            qrels.setdefault(query, {})[document] = int(relevance)
        names = {"bm25": "few.bm25.trec", "fp32": "few.tiny.fp32.trec"}
        assert {path.name for path in (tmp_path / "runs").iterdir()} == set(names.values())
        for row in report["rows"]:
            run: dict[str, dict[str, float]] = {}
            for line in _lines(tmp_path / "runs" / names[row["variant"]]):
                query, _, document, _, score, _ = line.split()
                run.setdefault(query, {})[document] = float(score)
            for name in report["metrics"]:
                base, _, cutoff = name.partition("@")
                measure = ir_measures.measures.registry[base]
                measure = measure @ int(cutoff) if cutoff else measure
                value = ir_measures.evaluator([measure], qrels).calc(run).aggregated[measure]
                assert value == row["quality"][name]

    def test_the_page_needs_nothing_else(
        self, evaluate: Eval, tiny_bundle: Path, collection_folder: Path, tmp_path: Path
    ) -> None:
        folder = collection_folder.rename(tmp_path / "a<b>&c")
        page = tmp_path / "pages/report.html"
        result = evaluate("--model", tiny_bundle, "--data", folder, "--html", page)
        assert result.returncode == 0, result.stderr
        text = page.read_text()
        found = _Page(text)
        assert {"svg", "table", "circle", "style"} <= found.tags
        assert found.tags.isdisjoint({"script", "link", "img", "b"})
        assert found.addresses == []
        assert "url(" not in text
        assert "tiny fp32" in found.texts
        assert any(part.startswith("a<b>&c: 3 queries") for part in found.texts)

    def test_a_page_that_cannot_be_written_is_an_error(
        self, evaluate: Eval, tiny_bundle: Path, collection_folder: Path
    ) -> None:
        result = evaluate(
            "--model", tiny_bundle, "--data", collection_folder, "--html", collection_folder
        )
        assert result.returncode == 2
        assert f"cannot write {collection_folder}" in result.stderr


class _Page(HTMLParser):
    """Tags, addresses and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str | None] = []
        self.texts: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.texts.add(data.strip())


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _with_logit(line: bytes, logit: float) -> bytes:
    """Give a line of the cache with another score for its first document."""
    entry = json.loads(line)
    entry["logits"][0] = logit
    return json.dumps(entry, separators=(",", ":")).encode()


class TestResuming:
    def test_a_second_call_scores_nothing(
        self, evaluate: Eval, tiny_bundle: Path, collection_folder: Path
    ) -> None:
        words = ("--model", tiny_bundle, "--data", collection_folder)
        before = evaluate.report(*words)
        contents = [path.read_bytes() for path in evaluate.cache_files]
        assert len(contents) == len(before["rows"]) - 1
        # Had it anything to score, it would fail to open the bundle; speeds are those of before.
        broken = shutil.copytree(tiny_bundle, collection_folder.parent / "broken")
        for graph in broken.glob("*.onnx"):
            graph.unlink()
        after = evaluate.report("--model", broken, "--data", collection_folder)
        assert after["rows"] == before["rows"]
        assert [path.read_bytes() for path in evaluate.cache_files] == contents

    def test_a_killed_run_goes_on(
        self, evaluate: Eval, tiny_bundle: Path, collection_folder: Path
    ) -> None:
        words = ("--model", tiny_bundle, "--data", collection_folder, "--variant", "fp32")
        before = evaluate.report(*words)
        [path] = evaluate.cache_files
        content = path.read_bytes().strip()
        first, second, third = content.splitlines()
        path.write_bytes(_with_logit(first, 99) + b"\n" + second[:20])
        after = evaluate.report(*words)
        # The first query is taken as it stands there, the one cut short and the third are scored.
        kept = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        assert [entry["query"] for entry in kept] == ["q1", "q2", "q3"]
        assert kept[0]["logits"][0] == 99
        assert [entry["logits"] for entry in kept[1:]] == [
            json.loads(line)["logits"] for line in (second, third)
        ]
        assert after["rows"][1]["quality"]["nDCG@10"] <= 1
        assert before["collections"] == after["collections"]

    def test_afresh_forgets(
        self, evaluate: Eval, tiny_bundle: Path, collection_folder: Path
    ) -> None:
        words = ("--model", tiny_bundle, "--data", collection_folder, "--variant", "fp32")
        before = evaluate.report(*words)
        [path] = evaluate.cache_files
        path.write_bytes(b"\n".join(_with_logit(line, 99) for line in path.read_bytes().split()))
        assert evaluate.report(*words) != before
        after = evaluate.report(*words, "--afresh")
        assert [row["quality"] for row in after["rows"]] == [
            row["quality"] for row in before["rows"]
        ]

    def test_other_texts_are_scored_anew(
        self, evaluate: Eval, tiny_bundle: Path, collection_folder: Path
    ) -> None:
        words = ("--model", tiny_bundle, "--data", collection_folder, "--variant", "fp32")
        evaluate.report(*words)
        queries = collection_folder / "queries.jsonl"
        queries.write_text(queries.read_text().replace("moon at night", "bread and milk"))
        report = evaluate.report(*words, "--metrics", "RR@10")
        assert len(evaluate.cache_files) == 2
        assert report["rows"][1]["quality"]["RR@10"] == 1

    def test_scores_are_those_of_the_reranker(
        self, evaluate: Eval, tiny_bundle: Path, collection_folder: Path
    ) -> None:
        evaluate.report("--model", tiny_bundle, "--data", collection_folder, "--variant", "fp32")
        [path] = evaluate.cache_files
        kept = {line["query"]: line["logits"] for line in map(json.loads, _lines(path)[1:])}
        documents = ["Organic soap clean and natural", "bread and milk"]
        with Reranker.open(tiny_bundle, variant="fp32") as reranker:
            expected = reranker.score(QUERIES["q2"], documents, raw_scores=True)
        assert kept["q2"] == [float(logit) for logit in expected]


class TestErrors:
    @pytest.mark.parametrize(
        ("words", "problem"),
        [
            (("--metrics", "nDGC@10"), "ir-measures knows no nDGC"),
            (("--depth", "0"), "depth must be at least 1, not 0"),
            (("--variant", "fp16"), "has no variant 'fp16'"),
            (("--run", "gone.trec"), "gone.trec: does not exist"),
            (("--model", "gone"), "gone/manifest.json does not exist"),
            (("--run", ""), "the run has no name; give a file's, bm25 or judged"),
            (("--qrels", "gone.tsv"), "gone.tsv: does not exist"),
            (("--data", "gone"), "gone/qrels.tsv: does not exist; neither does qrels/test.tsv"),
            (("--cache", __file__), "Not a directory; name another folder with --cache"),
        ],
    )
    def test_one_line_and_status_2(
        self,
        evaluate: Eval,
        tiny_bundle: Path,
        collection_folder: Path,
        words: tuple[str, ...],
        problem: str,
    ) -> None:
        result = evaluate("--model", tiny_bundle, "--data", collection_folder, *words)
        assert result.returncode == 2
        assert problem in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert not evaluate.cache_files

    def test_a_missing_package_is_named_with_its_extra(
        self, tiny_bundle: Path, collection_folder: Path
    ) -> None:
        command = [sys.executable, "-c", BLOCKER, "eval", "--model", str(tiny_bundle)]
        result = subprocess.run(
            [*command, "--data", str(collection_folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 2
        assert "pip install 'ranklet[eval]'" in result.stderr
        assert len(result.stderr.splitlines()) == 1

    def test_help_teaches_by_example(self, evaluate: Eval) -> None:
        result = evaluate("--help")
        assert result.returncode == 0
        assert "ranklet eval " in result.stdout.partition("examples:")[2]
