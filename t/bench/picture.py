# SPDX-License-Identifier: Apache-2.0
# The picture: a column for each workload, runs/s above, the median below, both
# on logarithmic scales.
#
#     picture.py BENCH.JSON PICTURE     draws it again (.svg, .png)
import json
import sys

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot, ticker  # noqa: E402 after the choice above

# Okabe and Ito's colours, told apart by the colour-blind too; the markers are
# told apart in black and white.
STYLES = {
    'floor': {'color': '#000000', 'marker': 'o', 'linestyle': '--'},
    'pyexec': {'color': '#D55E00', 'marker': 's', 'linewidth': 2.4},
    'cgi': {'color': '#0072B2', 'marker': '^'},
    'bwrap': {'color': '#009E73', 'marker': 'D'},
    'flask': {'color': '#CC79A7', 'marker': 'v'},
}
PANELS = (('rate', 1, 'runs a second'), ('p50', 1e3, 'median, ms'))


def series(data, workload, system, key, scale):
    rows = [row for row in data['rows'] if row['workload'] == workload
            and row['system'] == system and row['answers'] > row['refused']]
    return ([row['clients'] for row in rows], [row[key] / scale for row in rows])


def plain(value, _):
    return f'{value:g}'


def draw_panel(axes, data, workload, key, scale):
    numbers = sorted({row['clients'] for row in data['rows']
                      if row['workload'] == workload})
    for system in data['systems']:
        clients, values = series(data, workload, system, key, scale)
        axes.plot([numbers.index(it) for it in clients], values, markersize=5,
                  **STYLES[system])
    axes.set_yscale('log')
    low, high = axes.get_ylim()
    if high < 10 * low:
        # A decade at least: what differs little shall look it.
        middle = (low * high) ** 0.5
        axes.set_ylim(middle / 10 ** 0.5, middle * 10 ** 0.5)
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(plain)
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xticks(range(len(numbers)), [str(number) for number in numbers])
    axes.set_xlim(-0.4, len(numbers) - 0.6)
    axes.grid(axis='y', color='#dddddd', linewidth=0.6)
    axes.spines[['top', 'right']].set_visible(False)


def draw(data, file):
    matplotlib.rcParams.update({'svg.fonttype': 'none', 'font.size': 9,
                                'font.family': 'sans-serif',
                                'svg.hashsalt': 'bench'})
    names = list(data['workloads'])
    figure, grid = pyplot.subplots(
        len(PANELS), len(names), squeeze=False,
        figsize=(max(7.5, 2.3 * len(names)), 6.2))
    for row, (key, scale, label) in enumerate(PANELS):
        for column, name in enumerate(names):
            axes = grid[row][column]
            draw_panel(axes, data, name, key, scale)
            if row == 0:
                axes.set_title(data['workloads'][name], fontsize=9)
            else:
                axes.set_xlabel('clients')
        grid[row][0].set_ylabel(label)
    figure.legend(handles=[pyplot.Line2D([], [], label=title, **STYLES[name])
                           for name, title in data['systems'].items()],
                  loc='upper center', ncols=3, frameon=False)
    # The legend's two lines are above all panels.
    figure.tight_layout(rect=(0, 0, 1, 0.91))
    figure.savefig(file, dpi=110, metadata={'Date': None}
                   if str(file).endswith('.svg') else None)
    pyplot.close(figure)


if __name__ == '__main__':
    with open(sys.argv[1], encoding='utf-8') as source:
        draw(json.load(source), sys.argv[2])
