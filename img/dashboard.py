"""The page in the browser, with the labels of customers who are made up."""

import shutil
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from confluent_kafka import Producer
from playwright.sync_api import sync_playwright

from classifier.serialization.registry import SchemaRegistry as Registry
from classifier.stop import StopRequest
from classifier.users.output_codec import LabelCodec
from img.places import DIRECTORY, IMG
from local.dashboard import Dashboard
from local.services.process import free_port
from local.sql.topics import Topics
from local.stack import Ports, Stack, client_configuration
from tests.browser.chromium import launched

N_CUSTOMERS = 20_000
NAMES = "stingy,standard,spendthrift"
OUTPUT = "user_labeling"
WIDTH, HEIGHT = 1100, 1230  # pixels: numbers and clusters
DRAWN_MS = 60_000


def draw_dashboard() -> list[Path]:
    """Label made-up customers, serve the page, and photograph it."""
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    DIRECTORY.mkdir(parents=True)
    stack = Stack(DIRECTORY, Ports(free_port(), free_port(), free_port()), with_flink=False)
    page = Dashboard(DIRECTORY / "dashboard", client_configuration(DIRECTORY, stack.ports), free_port(), NAMES)
    with ExitStack() as started:
        started.callback(stack.stop)
        stack.start()
        write_labels(stack.ports)
        started.callback(page.stop)
        page.start()
        return [photograph(page.url, IMG / "dashboard.png")]


def write_labels(ports: Ports) -> None:
    """Write customers of whom most spend little and some much."""
    random = np.random.default_rng(3)
    counts = np.maximum(1, random.lognormal(2, 1, N_CUSTOMERS)).astype(int)
    amounts = np.round(counts * random.lognormal(3.5, 0.6, N_CUSTOMERS), 2)
    labels = np.searchsorted([150.0, 900.0], amounts)
    Topics(ports.endpoints).create(OUTPUT, 1, {"cleanup.policy": "compact"})
    registry = Registry({"url": ports.endpoints.registry_url}, StopRequest())
    rows = zip(amounts.tolist(), counts.tolist(), strict=True)
    labelled = [
        (f"customer {at:05}", row, label) for at, (row, label) in enumerate(zip(rows, labels.tolist(), strict=True))
    ]
    producer = Producer({"bootstrap.servers": ports.endpoints.bootstrap_servers})
    for (user_id, _, _), value in zip(labelled, LabelCodec(registry, OUTPUT).encode(labelled), strict=True):
        producer.produce(OUTPUT, value, user_id)
    producer.flush()
    registry.close()


def photograph(url: str, path: Path) -> Path:
    """Save what is seen of the page at first."""
    with sync_playwright() as playwright:
        browser = launched(playwright)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(url)
        page.locator(".js-plotly-plot .heatmaplayer image").first.wait_for(state="attached", timeout=DRAWN_MS)
        page.wait_for_timeout(2_000)  # what fades in has done so
        page.screenshot(path=path)
        browser.close()
    return path
