//! Starts, the order of tells, and the ends that a search comes to.

use crate::{GOOD, configuration, dimension, options_for, searcher, unit};
use frugal_domain::configuration::Configuration;
use frugal_domain::job::Algorithm;
use frugal_domain::job::algorithm::{BlendsearchOptions, TpeOptions};
use frugal_domain::space::Domain;
use frugal_search::{
    Ask, Exhausted, Observation, Origin, Outcome, Search, SearchError, Searcher, TellError,
};
use serde_json::json;

#[test]
fn a_space_of_one_point_is_proposed_once() {
    for algorithm in Algorithm::all() {
        let constant = Domain::Constant { value: json!(7) };
        for dimensions in [vec![], vec![dimension("x".into(), constant)]] {
            let mut search = searcher(algorithm, dimensions);
            assert!(matches!(search.ask(), Ask::Propose(_)));
            assert_eq!(search.ask(), Ask::Wait);
            search.tell(0, GOOD).unwrap();
            assert_eq!(search.ask(), Ask::Exhausted(Exhausted::SpaceUsedUp));
        }
    }
}

#[test]
fn tells_come_in_the_order_of_proposal() {
    let mut search = searcher(Algorithm::default(), vec![unit("x")]);
    assert_eq!(search.tell(0, GOOD), Err(TellError::NoneOpen { told: 0 }));
    search.ask();
    search.ask();
    let error = TellError::OutOfOrder {
        told: 1,
        expected: 0,
    };
    assert_eq!(search.tell(1, GOOD), Err(error));
    search.tell(0, GOOD).unwrap();
    search.tell(1, GOOD).unwrap();
    assert_eq!(search.tell(1, GOOD), Err(TellError::NoneOpen { told: 1 }));
}

#[test]
fn what_is_enqueued_comes_next_and_is_learned_from() {
    for algorithm in Algorithm::all() {
        let mut options = options_for(algorithm, vec![unit("x"), unit("y")]);
        options.start = vec![configuration(json!({"x": 1, "y": 1}))];
        options.cost_budget = Some(3.5);
        options.patience = Some(2);
        let mut search = Search::new(options).unwrap();
        let wanted = [
            configuration(json!({"x": 0.25, "y": 1.75})),
            configuration(json!({"x": 0.5, "y": 1.5})),
        ];
        let mut told = 0;
        // The first proposal is the job's, and neither what it proposed nor what is no point comes again.
        let Ask::Propose(first) = search.ask() else {
            panic!("{algorithm:?} has nothing to begin with")
        };
        search.enqueue(&first.configuration);
        search.enqueue(&configuration(json!({"x": 7, "y": 1})));
        assert!(!search.has_enqueued());
        search.enqueue(&wanted[0]);
        assert!(search.has_enqueued());
        let mut propose = |search: &mut Search, wanted: &Configuration| {
            let Ask::Propose(proposal) = search.ask() else {
                panic!("{algorithm:?} does not propose what is enqueued")
            };
            assert_eq!(proposal.origin, Origin::Owner);
            assert_eq!(&proposal.configuration, wanted);
            for number in told..=proposal.number {
                search.tell(number, GOOD).unwrap();
            }
            told = proposal.number + 1;
        };
        propose(&mut search, &wanted[0]);
        // Until it has nothing to propose any more.
        let mut next = 2;
        let ended = loop {
            match search.ask() {
                Ask::Propose(proposal) => {
                    assert_ne!(proposal.configuration, wanted[0], "{algorithm:?}");
                    search.tell(proposal.number, GOOD).unwrap();
                    next = proposal.number + 1;
                }
                ended => break ended,
            }
        };
        assert!(
            matches!(ended, Ask::Exhausted(_)),
            "{algorithm:?}: {ended:?}"
        );
        search.enqueue(&wanted[0]);
        assert_eq!(search.ask(), ended);
        search.enqueue(&wanted[1]);
        let Ask::Propose(proposal) = search.ask() else {
            panic!("{algorithm:?} has come to its end")
        };
        assert_eq!((proposal.number, proposal.origin), (next, Origin::Owner));
        let better = Observation {
            outcome: Outcome::Evaluated { loss: 0.0 },
            cost: 0.1,
        };
        search.tell(proposal.number, better).unwrap();
        // It was better than all before it.
        assert_ne!(
            search.ask(),
            Ask::Exhausted(Exhausted::NoImprovement),
            "{algorithm:?}"
        );
    }
}

/// A search that begins with cheap configurations.
fn cheap_first() -> Algorithm {
    Algorithm::Blendsearch(BlendsearchOptions {
        low_cost_starts: true,
        ..BlendsearchOptions::default()
    })
}

#[test]
fn the_starts_come_first_as_they_are_given() {
    let mut options = options_for(cheap_first(), vec![unit("x"), unit("y")]);
    options.start = vec![
        configuration(json!({"x": 1, "y": 0.7})),
        configuration(json!({"x": 0.3, "y": 0.1})),
    ];
    options.low_cost = vec![
        configuration(json!({"x": 0.3, "y": 0.1})),
        configuration(json!({"x": 0.2})),
    ];
    let mut search = Search::new(options).unwrap();
    let mut proposed = Vec::new();
    for _ in 0..3 {
        let Ask::Propose(proposal) = search.ask() else {
            panic!("there are starts left")
        };
        proposed.push(proposal.configuration);
    }
    // The cheap start that was a start already is not proposed again; integers became floats.
    assert_eq!(proposed[0], configuration(json!({"x": 1.0, "y": 0.7})));
    assert_eq!(proposed[1], configuration(json!({"x": 0.3, "y": 0.1})));
    assert_eq!(proposed[2].get("x"), Some(&json!(0.2)));
}

#[test]
fn starts_outside_the_space_are_refused() {
    let mut options = options_for(cheap_first(), vec![unit("x"), unit("y")]);
    options.start = vec![configuration(json!({"x": 1.0}))];
    assert_eq!(
        Search::new(options.clone()).unwrap_err(),
        SearchError::StartOutside { index: 0 }
    );
    options.start = vec![];
    for (low_cost, name) in [(json!({"x": 2.5}), "x"), (json!({"z": 1.0}), "z")] {
        options.low_cost = vec![configuration(low_cost)];
        let error = SearchError::LowCostOutside {
            index: 0,
            name: name.into(),
        };
        assert_eq!(Search::new(options.clone()).unwrap_err(), error);
    }
}

#[test]
fn a_spent_budget_ends_the_blend() {
    let mut options = options_for(Algorithm::default(), vec![unit("x")]);
    options.cost_budget = Some(2.5);
    let mut search = Search::new(options).unwrap();
    let mut told = 0;
    while let Ask::Propose(proposal) = search.ask() {
        search.tell(proposal.number, GOOD).unwrap();
        told += 1;
    }
    assert_eq!(told, 3);
    assert_eq!(search.ask(), Ask::Exhausted(Exhausted::BudgetSpent));
}

#[test]
fn temperature_zero_is_one_point_whatever_top_p_says() {
    let choice = |name: &str, values: Vec<serde_json::Value>| {
        let ordered = true;
        dimension(name.into(), Domain::Choice { values, ordered })
    };
    for algorithm in Algorithm::all() {
        let mut search = searcher(
            algorithm,
            vec![
                choice("temperature", vec![json!(0.0), json!(1.0)]),
                choice("top_p", vec![json!(0.5), json!(0.9), json!(1.0)]),
            ],
        );
        let mut count = 0;
        while let Ask::Propose(proposal) = search.ask() {
            search.tell(proposal.number, GOOD).unwrap();
            count += 1;
        }
        assert_eq!(count, 4);
    }
}

#[test]
fn what_has_no_loss_never_becomes_the_best_of_a_thread() {
    // Infeasible above 1; the local searches must settle below.
    let mut options = options_for(Algorithm::default(), vec![unit("x"), unit("y")]);
    options.low_cost = vec![configuration(json!({"x": 0.1, "y": 0.1}))];
    let mut search = Search::new(options).unwrap();
    let mut best = f64::INFINITY;
    for _ in 0..120 {
        let Ask::Propose(proposal) = search.ask() else {
            panic!("a continuum is never used up")
        };
        let number = |name| proposal.configuration.get(name).unwrap().as_f64().unwrap();
        let (x, y) = (number("x"), number("y"));
        let outcome = if x > 1.0 {
            Outcome::Infeasible
        } else {
            let loss = (x - 0.9).powi(2) + (y - 1.5).powi(2) - 10.0;
            best = best.min(loss);
            Outcome::Evaluated { loss }
        };
        search
            .tell(proposal.number, Observation { outcome, cost: 0.0 })
            .unwrap();
    }
    assert!(best < -9.99, "{best}");
}

#[test]
fn patience_ends_a_search_once_its_open_trials_are_told() {
    for algorithm in Algorithm::all() {
        let mut options = options_for(algorithm, vec![unit("x"), unit("y")]);
        options.patience = Some(3);
        let mut search = Search::new(options).unwrap();
        let told = |loss| Observation {
            outcome: Outcome::Evaluated { loss },
            cost: 1.0,
        };
        for number in 0..5 {
            assert!(matches!(search.ask(), Ask::Propose(proposal) if proposal.number == number));
        }
        // A first result, then three that are no better; two are still open.
        for (number, loss) in [(0, 1.0), (1, 1.0), (2, 2.0)] {
            search.tell(number, told(loss)).unwrap();
        }
        assert!(matches!(search.ask(), Ask::Propose(_)), "patience is left");
        let pruned = Observation {
            outcome: Outcome::Pruned,
            cost: 1.0,
        };
        search.tell(3, pruned).unwrap();
        assert_eq!(search.ask(), Ask::Wait);
        // One of the open trials is better after all.
        search.tell(4, told(0.5)).unwrap();
        assert!(matches!(search.ask(), Ask::Propose(_)), "it has improved");
        for number in 5..7 {
            search.tell(number, told(0.5)).unwrap();
        }
        assert!(matches!(search.ask(), Ask::Propose(_)), "patience is left");
        search.tell(7, told(f64::NAN)).unwrap();
        assert_eq!(search.ask(), Ask::Exhausted(Exhausted::NoImprovement));
    }
}

#[test]
fn cheap_starts_are_left_out_where_the_options_say_so() {
    for low_cost_starts in [true, false] {
        let algorithm = Algorithm::Tpe(TpeOptions {
            low_cost_starts,
            ..TpeOptions::default()
        });
        let mut options = options_for(algorithm, vec![unit("x")]);
        options.low_cost_starts = vec![configuration(json!({"x": 0.1}))];
        let Ask::Propose(first) = Search::new(options).unwrap().ask() else {
            panic!("there is something to propose")
        };
        assert_eq!(first.origin == Origin::LowCost, low_cost_starts);
        assert_eq!(
            first.configuration.get("x") == Some(&json!(0.1)),
            low_cost_starts
        );
    }
}

#[test]
fn an_inferior_trial_is_never_better_than_the_best() {
    for algorithm in Algorithm::all() {
        let mut options = options_for(algorithm, vec![unit("x")]);
        options.patience = Some(1);
        let mut search = Search::new(options).unwrap();
        for (number, outcome) in [
            (0, Outcome::Evaluated { loss: 1.0 }),
            // An estimate from a few instances; it would be an improvement if it counted.
            (1, Outcome::Inferior { loss: -5.0 }),
        ] {
            assert!(matches!(search.ask(), Ask::Propose(proposal) if proposal.number == number));
            search
                .tell(number, Observation { outcome, cost: 1.0 })
                .unwrap();
        }
        assert_eq!(search.ask(), Ask::Exhausted(Exhausted::NoImprovement));
    }
}
