//! Figures, as SVG.

use anyhow::anyhow;
use plotters::chart::{ChartBuilder, ChartContext, SeriesLabelPosition};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    BLACK, Cartesian2d, Circle, Color, IntoDrawingArea, IntoFont, LineSeries, PathElement, Polygon,
    RGBColor, Rectangle, SVGBackend, WHITE,
};
use serde::Serialize;
use std::ops::Range;

/// How large a figure is, in pixels.
const SIZE: (u32, u32) = (760, 420);

/// Colours that people who see few colours tell apart (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
];

/// A figure.
#[derive(Debug, Clone, Serialize)]
pub struct Plot {
    /// The name of its file, without the ending.
    pub name: &'static str,
    /// What it shows, as a sentence.
    pub caption: String,
    /// What is measured along the axes.
    pub x: &'static str,
    /// What is measured upwards.
    pub y: &'static str,
    /// What is drawn.
    pub drawn: Drawn,
}

/// What a figure is made of.
#[derive(Debug, Clone, Serialize)]
pub enum Drawn {
    /// Lines over steps that lie evenly, with bands of two standard errors.
    Lines {
        /// The steps, by name.
        steps: Vec<String>,
        /// The lines.
        series: Vec<Series>,
    },
    /// Groups of bars.
    Bars {
        /// The groups, by name.
        steps: Vec<String>,
        /// A bar of each in every group.
        series: Vec<Series>,
    },
    /// Points, with the diagonal where both axes measure the same.
    Points {
        /// Points of one colour.
        groups: Vec<Group>,
    },
}

/// A line, or the bars of one colour.
#[derive(Debug, Clone, Serialize)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// By step: the value and how far it may be off; nothing where nothing was measured.
    pub values: Vec<Option<(f64, f64)>>,
}

/// Points of one colour.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// What they are.
    pub name: String,
    /// Where they lie.
    pub points: Vec<(f64, f64)>,
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

impl Plot {
    /// The figure as SVG.
    ///
    /// # Errors
    /// It cannot be drawn.
    pub fn svg(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        {
            let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
            area.fill(&WHITE).map_err(undrawn)?;
            let (across, up) = self.ranges();
            let mut chart = ChartBuilder::on(&area)
                .margin(12)
                .margin_right(24)
                .x_label_area_size(44)
                .y_label_area_size(60)
                .build_cartesian_2d(across, up)
                .map_err(undrawn)?;
            let steps = self.steps();
            let name_of = |place: &f64| step_name(steps, *place);
            let mut mesh = chart.configure_mesh();
            mesh.x_desc(self.x)
                .y_desc(self.y)
                .light_line_style(WHITE)
                .bold_line_style(BLACK.mix(0.12))
                .label_style(("sans-serif", 14).into_font())
                .axis_desc_style(("sans-serif", 15).into_font());
            if steps.is_empty() {
                mesh.draw().map_err(undrawn)?;
            } else {
                mesh.disable_x_mesh()
                    .x_labels(2 * steps.len() + 1)
                    .x_label_formatter(&name_of)
                    .draw()
                    .map_err(undrawn)?;
            }
            match &self.drawn {
                Drawn::Lines { series, .. } => lines(&mut chart, series)?,
                Drawn::Bars { series, .. } => bars(&mut chart, series)?,
                Drawn::Points { groups } => points(&mut chart, groups)?,
            }
            chart
                .configure_series_labels()
                .position(self.emptiest_corner())
                .background_style(WHITE.mix(0.85))
                .border_style(BLACK.mix(0.3))
                .label_font(("sans-serif", 14).into_font())
                .draw()
                .map_err(undrawn)?;
            area.present().map_err(undrawn)?;
        }
        Ok(text)
    }

    fn steps(&self) -> &[String] {
        match &self.drawn {
            Drawn::Lines { steps, .. } | Drawn::Bars { steps, .. } => steps,
            Drawn::Points { .. } => &[],
        }
    }

    /// Everything that is drawn, as places with what lies there.
    fn places(&self) -> Vec<(f64, f64)> {
        match &self.drawn {
            Drawn::Lines { series, .. } | Drawn::Bars { series, .. } => series
                .iter()
                .flat_map(|series| {
                    let values = series.values.iter().zip(0_u32..);
                    values.filter_map(|(value, step)| Some((f64::from(step), (*value)?)))
                })
                .flat_map(|(step, (value, error))| {
                    [(step, value - 2.0 * error), (step, value + 2.0 * error)]
                })
                .collect(),
            Drawn::Points { groups } => groups
                .iter()
                .flat_map(|group| group.points.iter().copied())
                .collect(),
        }
    }

    fn ranges(&self) -> (Range<f64>, Range<f64>) {
        let places = self.places();
        let mut up = around(places.iter().map(|place| place.1));
        let across = match &self.drawn {
            Drawn::Points { .. } => around(places.iter().map(|place| place.0)),
            Drawn::Lines { steps, .. } | Drawn::Bars { steps, .. } => {
                -0.5..steps.len() as f64 - 0.5
            }
        };
        if matches!(self.drawn, Drawn::Bars { .. }) {
            // Names stand above the bars.
            up = up.start.min(0.0)..1.35 * up.end.max(0.0);
        }
        (across, up)
    }

    /// Where the fewest of what is drawn would lie behind the names.
    fn emptiest_corner(&self) -> SeriesLabelPosition {
        if matches!(self.drawn, Drawn::Bars { .. }) {
            return SeriesLabelPosition::UpperRight;
        }
        let (across, up) = self.ranges();
        let share =
            |value: f64, range: &Range<f64>| (value - range.start) / (range.end - range.start);
        let places = self.places();
        let behind = |right: bool, top: bool| {
            let lies = |place: &&(f64, f64)| {
                let (x, y) = (share(place.0, &across), share(place.1, &up));
                (if right { x > 0.6 } else { x < 0.4 }) && (if top { y > 0.6 } else { y < 0.4 })
            };
            places.iter().filter(lies).count()
        };
        let corners = [
            (SeriesLabelPosition::LowerRight, behind(true, false)),
            (SeriesLabelPosition::UpperLeft, behind(false, true)),
            (SeriesLabelPosition::UpperRight, behind(true, true)),
            (SeriesLabelPosition::LowerLeft, behind(false, false)),
        ];
        let best = corners.into_iter().min_by_key(|(_, count)| *count);
        best.map_or(SeriesLabelPosition::UpperRight, |(corner, _)| corner)
    }
}

/// A step's name at its place; nothing between two steps.
fn step_name(steps: &[String], place: f64) -> String {
    let nearest = place.round();
    let known = (0_u32..)
        .zip(steps)
        .find(|(step, _)| f64::from(*step) == nearest);
    match known {
        Some((_, name)) if (place - nearest).abs() < 1e-6 => name.clone(),
        _ => String::new(),
    }
}

/// A range with some room around values.
fn around(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.filter(|value| value.is_finite()) {
        (low, high) = (low.min(value), high.max(value));
    }
    if low > high {
        return 0.0..1.0;
    }
    let room = (0.06 * (high - low)).max(0.01 * high.abs().max(0.1));
    low - room..high + room
}

fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

fn lines(chart: &mut Chart<'_, '_>, series: &[Series]) -> anyhow::Result<()> {
    for (index, series) in series.iter().enumerate() {
        let colour = colour(index);
        let known: Vec<(f64, f64, f64)> = (0_u32..)
            .zip(&series.values)
            .filter_map(|(step, value)| {
                let (value, error) = (*value)?;
                Some((f64::from(step), value, 2.0 * error))
            })
            .collect();
        let upper = known.iter().map(|(x, y, error)| (*x, y + error));
        let lower = known.iter().rev().map(|(x, y, error)| (*x, y - error));
        let band: Vec<(f64, f64)> = upper.chain(lower).collect();
        chart
            .draw_series(std::iter::once(Polygon::new(band, colour.mix(0.15))))
            .map_err(undrawn)?;
        let middle = known.iter().map(|(x, y, _)| (*x, *y));
        chart
            .draw_series(LineSeries::new(middle.clone(), colour.stroke_width(2)))
            .map_err(undrawn)?
            .label(series.name.as_str())
            .legend(move |(x, y)| {
                PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(3))
            });
        chart
            .draw_series(middle.map(|place| Circle::new(place, 3, colour.filled())))
            .map_err(undrawn)?;
    }
    Ok(())
}

fn bars(chart: &mut Chart<'_, '_>, series: &[Series]) -> anyhow::Result<()> {
    let width = 0.8 / series.len().max(1) as f64;
    for (index, of) in series.iter().enumerate() {
        let colour = colour(index);
        let left = -0.4 + width * index as f64;
        let known: Vec<(f64, f64, f64)> = (0_u32..)
            .zip(&of.values)
            .filter_map(|(step, value)| {
                let (value, error) = (*value)?;
                Some((f64::from(step) + left, value, error))
            })
            .collect();
        let drawn = known.iter().map(|(x, y, _)| {
            Rectangle::new(
                [(*x, 0.0), (x + 0.92 * width, *y)],
                colour.mix(0.8).filled(),
            )
        });
        chart
            .draw_series(drawn)
            .map_err(undrawn)?
            .label(of.name.as_str())
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled()));
        let errors = known.iter().filter(|(_, _, error)| *error > 0.0);
        let errors = errors.map(|(x, y, error)| {
            let middle = x + 0.46 * width;
            let ends = vec![(middle, y - 2.0 * error), (middle, y + 2.0 * error)];
            PathElement::new(ends, BLACK.mix(0.7))
        });
        chart.draw_series(errors).map_err(undrawn)?;
    }
    Ok(())
}

fn points(chart: &mut Chart<'_, '_>, groups: &[Group]) -> anyhow::Result<()> {
    let ends = around(
        groups
            .iter()
            .flat_map(|group| group.points.iter().map(|place| place.0)),
    );
    let diagonal = [(ends.start, ends.start), (ends.end, ends.end)];
    chart
        .draw_series(LineSeries::new(diagonal, BLACK.mix(0.4)))
        .map_err(undrawn)?;
    for (index, group) in groups.iter().enumerate() {
        let colour = colour(index);
        let drawn = group.points.iter();
        chart
            .draw_series(drawn.map(|place| Circle::new(*place, 3, colour.mix(0.6).filled())))
            .map_err(undrawn)?
            .label(group.name.as_str())
            .legend(move |(x, y)| Circle::new((x + 8, y), 4, colour.filled()));
    }
    Ok(())
}

fn undrawn(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a figure cannot be drawn: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(drawn: Drawn) -> Plot {
        Plot {
            name: "figure",
            caption: String::new(),
            x: "rows",
            y: "share",
            drawn,
        }
    }

    #[test]
    fn steps_series_and_axes_are_named_in_the_figure() {
        let steps = vec!["five".to_owned(), "ten".to_owned()];
        let series = vec![Series {
            name: "some way".to_owned(),
            values: vec![Some((0.2, 0.05)), None],
        }];
        for drawn in [
            Drawn::Lines {
                steps: steps.clone(),
                series: series.clone(),
            },
            Drawn::Bars { steps, series },
        ] {
            let svg = plot(drawn).svg().unwrap();
            for text in ["five", "ten", "some way", "rows", "share"] {
                assert!(svg.contains(text), "{text} is missing in {svg}");
            }
        }
    }

    #[test]
    fn a_figure_of_nothing_and_of_equal_values_is_drawn() {
        for points in [vec![], vec![(0.5, 0.5); 3]] {
            let name = "all".to_owned();
            let groups = vec![Group { name, points }];
            let svg = plot(Drawn::Points { groups }).svg().unwrap();
            assert!(svg.ends_with("</svg>\n"), "{svg}");
        }
    }

    #[test]
    fn names_stand_where_the_least_is_drawn() {
        let high = Series {
            name: "high".to_owned(),
            values: vec![Some((0.0, 0.0)), Some((1.0, 0.0))],
        };
        let steps = vec!["1".to_owned(), "2".to_owned()];
        let corner = plot(Drawn::Lines {
            steps,
            series: vec![high],
        })
        .emptiest_corner();
        assert!(matches!(corner, SeriesLabelPosition::LowerRight));
    }
}
