"""A screenshot of the dashboard in a browser, with labels of synthetic customers."""

import shutil
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from confluent_kafka import Producer
from playwright.sync_api import sync_playwright

from classifier.serialization.registry import SchemaRegistry as Registry
from classifier.stop import StopRequest
from classifier.users.output_codec import LabelCodec
from img.paths import DIRECTORY, IMG
from local.dashboard import Dashboard
from local.services.process import free_port
from local.sql.topics import Topics
from local.stack import Ports, Stack, client_configuration
from tests.browser.chromium import launched

N_CUSTOMERS = 20_000
NAMES = "stingy,standard,spendthrift"
OUTPUT = "user_labeling"
WIDTH = 1100  # pixels
HEIGHT = 1230  # enough for the figures and the plot of clusters
DRAWN_MS = 60_000


def draw_dashboard() -> list[Path]:
    """Write labels of synthetic customers, serve the page, and take a screenshot of it; return its path."""
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
        return [screenshot(page.url, IMG / "dashboard.png")]


def write_labels(ports: Ports) -> None:
    """Write labels of customers; most spend little, some spend much."""
    random = np.random.default_rng(3)
    counts = np.maximum(1, random.lognormal(2, 1, N_CUSTOMERS)).astype(int)
    amounts = np.round(counts * random.lognormal(3.5, 0.6, N_CUSTOMERS), 2)
    labels = np.searchsorted([150.0, 900.0], amounts)
    Topics(ports.endpoints).create(OUTPUT, 1, {"cleanup.policy": "compact"})
    registry = Registry({"url": ports.endpoints.registry_url}, StopRequest())
    rows = zip(amounts.tolist(), counts.tolist(), strict=True)
    user_ids = [f"customer {number:05}" for number in range(N_CUSTOMERS)]
    labelled = list(zip(user_ids, rows, labels.tolist(), strict=True))
    producer = Producer({"bootstrap.servers": ports.endpoints.bootstrap_servers})
    for (user_id, _, _), value in zip(labelled, LabelCodec(registry, OUTPUT).encode(labelled), strict=True):
        producer.produce(OUTPUT, value, user_id)
    producer.flush()
    registry.close()


def screenshot(url: str, path: Path) -> Path:
    """Save the first view of the page."""
    with sync_playwright() as playwright:
        browser = launched(playwright)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(url)
        page.locator(".js-plotly-plot .heatmaplayer image").first.wait_for(state="attached", timeout=DRAWN_MS)
        page.wait_for_timeout(2_000)  # until animations have ended
        page.screenshot(path=path)
        browser.close()
    return path
