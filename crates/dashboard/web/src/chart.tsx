// One plot: ECharts on a canvas, in the page's colours.

import { LineChart, ParallelChart, ScatterChart } from "echarts/charts";
import { GridComponent, MarkLineComponent, ParallelComponent, TooltipComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { useEffect, useRef, useState } from "preact/hooks";

echarts.use([
  LineChart,
  ScatterChart,
  ParallelChart,
  GridComponent,
  TooltipComponent,
  MarkLineComponent,
  ParallelComponent,
  CanvasRenderer,
]);

/** The page's colours, as a canvas wants them. */
export interface Palette {
  ink: string;
  soft: string;
  line: string;
  fill: string;
  accent: string;
  bad: string;
  off: string;
  panel: string;
}

function palette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: read("ink"),
    soft: read("soft"),
    line: read("line"),
    fill: read("fill"),
    accent: read("accent"),
    bad: read("bad"),
    off: read("off"),
    panel: read("panel"),
  };
}

function usePalette(): Palette {
  const [colours, setColours] = useState(palette);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const changed = (): void => setColours(palette());
    dark.addEventListener("change", changed);
    return () => dark.removeEventListener("change", changed);
  }, []);
  return colours;
}

/** An axis in the page's tone, its labels written by `formatter` where they are not just numbers. */
export function axis(colours: Palette, more: Record<string, unknown>, formatter?: (value: number) => string): Record<string, unknown> {
  return {
    axisLine: { lineStyle: { color: colours.line } },
    axisTick: { show: false },
    axisLabel: { color: colours.soft, fontSize: 11, hideOverlap: true, formatter },
    splitLine: { lineStyle: { color: colours.line } },
    nameTextStyle: { color: colours.soft, fontSize: 11 },
    ...more,
  };
}

/** A tooltip in the page's tone. As rich text: the page's policy lets no style stand in markup. */
export function tooltip(colours: Palette, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    renderMode: "richText",
    backgroundColor: colours.panel,
    borderColor: colours.line,
    textStyle: { color: colours.ink, fontSize: 12, fontWeight: 400 },
    ...more,
  };
}

interface Props {
  /** What the plot shows, for those who do not see it. */
  label: string;
  height: number;
  option: (colours: Palette) => Record<string, unknown>;
  /** Called with the datum of a point that was clicked. */
  onPick?: (datum: unknown) => void;
}

export function Chart({ label, height, option, onPick }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<echarts.ECharts>(null);
  const picked = useRef(onPick);
  picked.current = onPick;
  const colours = usePalette();
  // What is out of sight is not drawn before it comes into sight.
  const [inSight, setInSight] = useState(false);

  useEffect(() => {
    const drawn = echarts.init(place.current);
    chart.current = drawn;
    drawn.on("click", (event) => picked.current?.(event.data));
    const sizes = new ResizeObserver(() => drawn.resize());
    sizes.observe(place.current as HTMLDivElement);
    const sight = new IntersectionObserver((seen) => setInSight(seen.at(-1)?.isIntersecting === true), { rootMargin: "200px" });
    sight.observe(place.current as HTMLDivElement);
    return () => {
      sight.disconnect();
      sizes.disconnect();
      drawn.dispose();
    };
  }, []);

  useEffect(() => {
    if (!inSight) {
      return;
    }
    chart.current?.setOption(
      { animation: false, textStyle: { fontFamily: "inherit" }, ...option(colours) },
      { notMerge: true, lazyUpdate: true },
    );
  });

  return <div ref={place} role="img" aria-label={label} class="chart" style={{ height: `${height}px` }} />;
}
