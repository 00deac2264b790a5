//! Distances on the earth, and what lies within a circle or a box.
//!
//! The earth is a sphere with the radius that Redis uses; distances are by the haversine formula.

use super::cell::{Cell, Position, STEPS};

/// Metres.
const EARTH_RADIUS: f64 = 6_372_797.560_856;
/// Half the side of the map that the usual projection makes of the earth, in metres.
const MAP_SIDE: f64 = 20_037_726.37;

/// Metres between two positions.
pub(super) fn distance(a: Position, b: Position) -> f64 {
    let across =
        ((b.longitude.to_radians_exactly() - a.longitude.to_radians_exactly()) / 2.0).sin();
    if across == 0.0 {
        return along_meridian(a.latitude, b.latitude);
    }
    let (a, b) = (a.latitude.to_radians_exactly(), b.latitude.to_radians_exactly());
    let along = ((b - a) / 2.0).sin();
    let chord = along * along + a.cos() * b.cos() * across * across;
    2.0 * EARTH_RADIUS * chord.sqrt().asin()
}

fn along_meridian(a: f64, b: f64) -> f64 {
    EARTH_RADIUS * (b.to_radians_exactly() - a.to_radians_exactly()).abs()
}

/// Degrees as radians by one multiplication, so that the last bit is the same as Redis's.
trait Degrees {
    fn to_radians_exactly(self) -> f64;
}

impl Degrees for f64 {
    fn to_radians_exactly(self) -> f64 {
        self * (std::f64::consts::PI / 180.0)
    }
}

/// What is searched, in metres.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Shape {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

impl Shape {
    /// The distance of a position from the centre, if it lies within.
    pub(super) fn distance_within(self, centre: Position, position: Position) -> Option<f64> {
        match self {
            Self::Circle { radius } => {
                Some(distance(centre, position)).filter(|metres| *metres <= radius)
            }
            Self::Box { width, height } => {
                let same_height = Position { latitude: position.latitude, ..centre };
                let within = along_meridian(position.latitude, centre.latitude) <= height / 2.0
                    && distance(position, same_height) <= width / 2.0;
                within.then(|| distance(centre, position))
            }
        }
    }

    /// Half of its width and height.
    fn halves(self) -> (f64, f64) {
        match self {
            Self::Circle { radius } => (radius, radius),
            Self::Box { width, height } => (width / 2.0, height / 2.0),
        }
    }

    /// Cells that cover it: the one around its centre, and those of its neighbours that it reaches.
    pub(super) fn cells(self, centre: Position) -> Vec<Cell> {
        let bounds = Bounds::of(self, centre);
        let (width, height) = self.halves();
        let reach = match self {
            Self::Circle { radius } => radius,
            Self::Box { .. } => (width * width + height * height).sqrt(),
        };
        let mut steps = steps_for(reach, centre.latitude);
        if steps > 1 && bounds.exceed_neighbours(Cell::around(centre, steps)) {
            steps -= 1;
        }
        let middle = Cell::around(centre, steps);
        let mut cells: Vec<Cell> = Vec::with_capacity(NEIGHBOURS.len());
        for (index, (east, north)) in NEIGHBOURS.into_iter().enumerate() {
            // The cell of the very last degrees has a number of its own, which neighbours have not.
            let cell = if index == 0 { middle } else { middle.neighbour(east, north) };
            let useless = steps >= 2 && bounds.misses(middle, (east, north));
            // On a grid of few cells neighbours are the same.
            if index == 0 || !useless && !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        cells
    }
}

/// East and north of the cells that are looked at, in the order in which Redis answers what lies in
/// them.
const NEIGHBOURS: [(i32, i32); 9] =
    [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

/// Steps of cells about as large as what is searched.
fn steps_for(mut reach: f64, latitude: f64) -> u32 {
    if reach == 0.0 {
        return STEPS;
    }
    let mut steps = 1i64;
    while reach < MAP_SIDE {
        reach *= 2.0;
        steps += 1;
    }
    // Cells are narrower towards the poles.
    let narrow = u32::from(latitude.abs() > 66.0) + u32::from(latitude.abs() > 80.0);
    (steps - 2 - i64::from(narrow)).clamp(1, i64::from(STEPS)) as u32
}

/// The box around what is searched, in degrees.
struct Bounds {
    longitude: (f64, f64),
    latitude: (f64, f64),
}

impl Bounds {
    fn of(shape: Shape, centre: Position) -> Self {
        let (width, height) = shape.halves();
        let up = (height / EARTH_RADIUS).to_degrees();
        let at = |latitude: f64| {
            (width / EARTH_RADIUS / latitude.to_radians_exactly().cos()).to_degrees()
        };
        // The side nearer to the pole is the wider one in degrees.
        let aside = at(centre.latitude + if centre.latitude < 0.0 { -up } else { up });
        Self {
            longitude: (centre.longitude - aside, centre.longitude + aside),
            latitude: (centre.latitude - up, centre.latitude + up),
        }
    }

    /// Whether the cells around one are not enough.
    fn exceed_neighbours(&self, cell: Cell) -> bool {
        let area = |east, north| cell.neighbour(east, north).area();
        area(0, 1).latitude.1 < self.latitude.1
            || area(0, -1).latitude.0 > self.latitude.0
            || area(1, 0).longitude.1 < self.longitude.1
            || area(-1, 0).longitude.0 > self.longitude.0
    }

    /// Whether nothing of it lies in the neighbour of a cell.
    fn misses(&self, middle: Cell, (east, north): (i32, i32)) -> bool {
        let area = middle.area();
        north < 0 && area.latitude.0 < self.latitude.0
            || north > 0 && area.latitude.1 > self.latitude.1
            || east < 0 && area.longitude.0 < self.longitude.0
            || east > 0 && area.longitude.1 > self.longitude.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn distances_are_those_of_redis() {
        let at = |longitude, latitude| Position { longitude, latitude };
        let stored = |position: Position| Position::of_score(position.score());
        let metres =
            distance(stored(at(13.361_389, 38.115_556)), stored(at(15.087_269, 37.502_669)));
        assert_eq!(format!("{metres:.4}"), "166274.1516");
        assert_eq!(distance(at(10.0, 20.0), at(10.0, 20.0)), 0.0);
    }

    #[test]
    fn cells_cover_what_is_searched() {
        let mut rng = Rng::new(4);
        let mut share = |width: f64| (rng.below(1 << 30) as f64 / f64::from(1 << 30) - 0.5) * width;
        for round in 0..4_000 {
            let centre = Position { longitude: share(360.0), latitude: share(150.0) };
            let radius = 10f64.powf(share(6.0) + 3.5);
            let shape = if round % 2 == 0 {
                Shape::Circle { radius }
            } else {
                Shape::Box { width: radius, height: radius * 1.5 }
            };
            let cells = shape.cells(centre);
            for _ in 0..40 {
                let spread = (radius / 50_000.0).min(90.0);
                let near = Position {
                    longitude: centre.longitude + share(spread),
                    latitude: centre.latitude + share(spread),
                };
                if near.is_valid() && shape.distance_within(centre, near).is_some() {
                    let score = near.score();
                    let met = cells.iter().filter(|cell| {
                        let (low, high) = cell.scores();
                        score >= low && score < high
                    });
                    assert_eq!(met.count(), 1, "{centre:?} {shape:?} {near:?}");
                }
            }
        }
    }
}
