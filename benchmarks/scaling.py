"""How time and memory of counting scores grow with tokens, texts and layers: a figure and the fitted exponents."""

import statistics
import sys

import matplotlib
import numpy as np
from measure import MIB, extra_memory, in_fresh_process, machine, seconds, token_ids, untrained

from headlab.capture import count_scores

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# What varies, over which sizes, and (tokens, texts, layers) at each.
SERIES = {
    "tokens of one text": ((128, 256, 512, 1024), lambda size: (size, 1, 12)),
    "texts of 128 tokens": ((1, 4, 16, 64), lambda size: (128, size, 12)),
    "layers, 512 tokens": ((2, 4, 8, 12), lambda size: (512, 1, size)),
}


def cost(n_tokens, n_texts, n_layers):
    """(median seconds, bytes beside the model) of counting so many texts."""
    model = untrained(n_layers)
    count_scores(model, token_ids(8))  # what torch sets up once

    def work():
        total = count_scores(model, token_ids(n_tokens))
        for seed in range(1, n_texts):
            total = total + count_scores(model, token_ids(n_tokens, seed))

    memory = extra_memory(work)
    return statistics.median(seconds(work) for _ in range(3)), memory


def exponent(sizes, costs):
    """b of the best line log(cost) = a + b log(size)."""
    return np.polyfit(np.log(sizes), np.log(costs), 1)[0]


def main(path):
    """Measure, draw and print."""
    figure, axes = plt.subplots(2, len(SERIES), figsize=(10, 6), layout="constrained", sharex="col")
    print("| size | values | time, s | time's exponent | memory, MiB | memory's exponent |\n|---|---|---|---|---|---|")
    for column, (name, (sizes, shape)) in enumerate(SERIES.items()):
        times, memories = zip(*(in_fresh_process(cost, *shape(size)) for size in sizes), strict=True)
        memories = [memory / MIB for memory in memories]
        for row, (costs, unit) in enumerate(((times, "time, s"), (memories, "memory beside the model, MiB"))):
            ax, slope = axes[row, column], exponent(sizes, costs)
            ax.loglog(sizes, costs, "o-", color="#0072B2")
            ax.set_xticks(sizes, map(str, sizes))
            ax.minorticks_off()
            ax.set_yticks([])
            for size, value in zip(sizes, costs, strict=True):
                ax.annotate(f"{value:.3g}", (size, value), (-5, 5), textcoords="offset points", ha="right")
            ax.margins(x=0.25)
            ax.set_ylim(min(costs) / 2, max(costs) * 2)
            ax.set_title(f"exponent {slope:.2f}")
            ax.set_ylabel(unit if column == 0 else None)
            ax.set_xlabel(name if row == 1 else None)
        listed = [" ".join(f"{cost:.3g}" for cost in costs) for costs in (times, memories)]
        slopes = [f"{exponent(sizes, costs):.2f}" for costs in (times, memories)]
        print(
            f"| {name} | {' '.join(map(str, sizes))} | {listed[0]} | {slopes[0]} | {listed[1]} | {slopes[1]} |",
            flush=True,
        )
    figure.suptitle(f"Counting all scores, GPT-2 small's shape\n{machine('headlab', 'torch')}", fontsize=9)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main(sys.argv[1])
