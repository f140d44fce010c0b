//! The recipes of `docs/`, each followed as it stands there against a scripted copy of the API that it is for.
//!
//! A copy does what the API's documentation says: it filters, its pages have the size that was asked for and no more than is
//! allowed, and it refuses what it does not know in its own words. What is published is compared with the records behind it.

/// How a recipe is followed.
mod recipe;
/// The records behind an API.
mod source;
/// Ten jobs on one machine.
mod ten_jobs;

mod accounts;
mod bulk_operation;
mod bulk_query;
mod by_key;
mod columns;
mod csv_report;
mod directus;
mod filter_only;
mod github;
mod graphql;
mod hubspot;
mod invoices;
mod kinto;
mod left_out;
mod links;
mod listing;
mod modified_since;
mod notion;
mod odata;
mod order_lines;
mod products;
mod project_tasks;
mod salesforce;
mod search_form;
mod shopify;
mod stripe;
mod zendesk;

use crate::docs::text_of;

/// Each module in the list has a recipe, and the recipe its test: one that is not in `docs/`, or is there and not here, is
/// an error.
macro_rules! recipes {
    ($($module:ident)*) => {
        mod publishes_what_the_source_has {
            $(
                #[test]
                fn $module() {
                    super::$module::RECIPE.holds();
                }
            )*
        }

        const HEADINGS: &[&str] = &[$($module::RECIPE.heading),*];
    };
}

recipes! {
    github
    stripe
    salesforce
    hubspot
    notion
    kinto
    directus
    shopify
    zendesk
    by_key
    columns
    links
    left_out
    search_form
    modified_since
    filter_only
    csv_report
    listing
    bulk_query
    bulk_operation
    graphql
    products
    odata
    invoices
    order_lines
    accounts
    project_tasks
}

/// The recipes of all pages: heading and all that follows.
fn parts() -> Vec<&'static str> {
    let pages = [
        "docs/recipes.md",
        "docs/recipes-by-shape.md",
        "docs/recipes-by-pattern.md",
    ]
    .map(text_of);
    let parts = pages
        .into_iter()
        .flat_map(|page| page.split("\n## ").skip(1));
    parts.collect()
}

/// The block of code under this heading, counted from 0.
fn block(heading: &str, at: usize) -> &'static str {
    let parts = parts();
    let part = parts
        .iter()
        .find(|part| part.lines().next() == Some(heading));
    let part = part.unwrap_or_else(|| panic!("`docs/` has a recipe `{heading}`"));
    let block = part.split("```").nth(2 * at + 1).expect("a block of code");
    block.split_once('\n').expect("it begins on its own line").1
}

#[test]
fn every_recipe_of_the_docs_is_followed() {
    let parts = parts();
    let told: Vec<&str> = parts
        .iter()
        .filter_map(|part| part.lines().next())
        .collect();

    let followed: Vec<&str> = HEADINGS
        .iter()
        .copied()
        .chain([ten_jobs::HEADING])
        .collect();

    assert_eq!(told, followed);
}
