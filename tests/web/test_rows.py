"""The list of interactions, each row with the tests that do it by mouse, by finger and by key; all of them exist."""

import ast
from pathlib import Path

import pytest

# row: tests by mouse, by touch, by key; () where the list names none
ROWS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "pan": (
        (
            "camera.pan_by_dragging_empty_canvas",
            "camera.pan_with_the_middle_button_over_a_node",
            "camera.pan_with_space_held_over_a_node",
        ),
        ("touch.one_finger_pans", "touch.two_fingers_pan_and_pinch"),
        ("camera.pan_with_arrows_when_nothing_is_selected",),
    ),
    "zoom at pointer": (
        ("camera.zoom_at_the_pointer_with_the_wheel", "camera.zoom_by_ctrl_shift_drag", "toolbox.zoom_buttons"),
        ("touch.two_fingers_pan_and_pinch",),
        ("camera.zoom_with_keys",),
    ),
    "fit all / selection": ((), ("touch.two_taps_of_two_fingers_fit_all",), ("camera.fit_all", "camera.fit_selection")),
    "box select": (
        ("select.box_select_by_ctrl_drag", "select.box_select_by_drag_in_select_mode"),
        ("touch.long_press_then_drag_selects_a_box",),
        ("select.select_all",),
    ),
    "add to selection; walk": (
        ("select.ctrl_or_shift_click_adds_and_removes",),
        ("touch.tap_in_several_mode_adds_to_the_selection",),
        ("select.tab_walks_the_nodes", "select.alt_arrows_go_to_the_linked_neighbour"),
    ),
    "select upstream / downstream": (
        ("select.shift_click_on_a_third_of_the_title_selects_upstream_or_downstream",),
        (),
        ("select.brackets_select_upstream_and_downstream",),
    ),
    "search palette": (
        ("wires.the_search_palette_adds_a_node_at_the_pointer",),
        ("touch.double_tap_on_empty_opens_the_palette",),
        ("keys.the_palette_filters_by_port_and_category", "keys.the_palette_stays_with_shift_enter"),
    ),
    "link to empty canvas": (
        ("wires.drop_on_empty_opens_the_palette_and_wires_the_node_picked",),
        ("touch.a_wire_dropped_on_empty_by_a_finger_opens_the_palette",),
        ("wires.shift_enter_wires_one_node_and_stays_for_the_next",),
    ),
    "drop link on node body": (("wires.drop_on_a_body_shows_and_takes_the_best_free_socket",), (), ()),
    "click-click wiring": (
        ("wires.click_one_socket_then_another",),
        ("touch.tap_one_socket_then_another",),
        ("wires.a_wire_made_with_the_keyboard_alone",),
    ),
    "pick up link": (("wires.pick_a_link_up_and_put_it_elsewhere", "wires.pick_a_link_up_and_let_it_go"), (), ()),
    "move all links of an output": (("wires.shift_drag_moves_all_links_of_an_output",), (), ()),
    "branch from a wire": (("wires.shift_drag_on_a_wire_branches_it",), (), ()),
    "reroute": (
        ("wires.alt_click_on_a_wire_makes_a_reroute", "wires.a_reroute_moves_and_leaves"),
        ("touch.double_tap_on_a_wire_makes_a_reroute",),
        (),
    ),
    "cut wires": (("wires.alt_drag_across_empty_cuts_wires",), (), ()),
    "insert on wire": (("wires.drop_a_node_on_a_wire_inserts_it", "wires.alt_suspends_the_insert"), (), ()),
    "shake to disconnect": (
        ("wires.shaking_a_node_takes_it_out_and_heals_the_wire",),
        (),
        ("wires.shift_x_takes_nodes_out_of_their_wires",),
    ),
    "delete and heal": ((), (), ("wires.ctrl_delete_heals",)),
    "break socket links": (("wires.ctrl_alt_click_breaks_the_links_of_a_socket",), (), ()),
    "quick connect selected": (
        ("wires.quick_connect_by_alt_right_drag",),
        (),
        ("wires.quick_connect_the_selection_with_f",),
    ),
    "swap / replace node": (("wires.swap_a_node_from_its_menu",), (), ("wires.swap_a_node_keeps_its_links",)),
    "duplicate": (("select.alt_drag_duplicates",), (), ("select.duplicate_with_a_key",)),
    "copy, paste, paste with links": ((), (), ("keys.copy_and_paste", "keys.paste_with_links")),
    "mute / bypass": (("toolbox.mute_and_bypass",), (), ("select.mute_and_bypass",)),
    "collapse, pin": (
        ("select.collapse_by_double_click_on_the_mark_and_by_key", "toolbox.collapse_pin_duplicate_delete_and_subgraph"),
        (),
        ("select.collapse_by_double_click_on_the_mark_and_by_key", "select.pinned_nodes_stay"),
    ),
    "group / ungroup; frame follows nodes": (
        (
            "select.a_group_moves_what_is_in_it",
            "select.a_frame_follows_its_nodes_and_lets_go_of_one_that_leaves",
            "toolbox.group_button_asks_for_a_name",
        ),
        (),
        ("select.a_group_moves_what_is_in_it", "select.ungroup_leaves_the_nodes"),
    ),
    "subgraph make / enter / leave / unpack": (
        (
            "subgraph.enter_by_double_click_and_leave_by_escape",
            "subgraph.enter_with_a_key_and_leave_by_the_path_above",
            "subgraph.unpack_from_the_menu",
        ),
        (),
        ("subgraph.make_keeps_the_wires_from_outside", "subgraph.enter_with_a_key_and_leave_by_the_path_above"),
    ),
    "tidy; align and distribute selection": (
        ("toolbox.tidy_button_lays_the_selection_out",),
        (),
        ("keys.tidy_keeps_the_wires_and_moves_the_nodes", "keys.shift_l_offers_ways_to_align_the_selection"),
    ),
    "nudge": ((), (), ("select.nudge",)),
    "number drag": (
        ("widgets.number_drag", "widgets.number_drag_fine_and_coarse", "widgets.number_drag_coarse_with_ctrl"),
        ("touch.a_finger_on_a_number_of_a_selected_node_changes_it",),
        ("widgets.number_click_takes_a_sum", "widgets.number_up_and_down_while_it_is_edited"),
    ),
    "seed control": (("widgets.seed_control_buttons", "widgets.the_last_seed_is_brought_back"), (), ()),
    "run, run front, stop": (
        ("keys.run_and_stop_buttons_ask_the_server",),
        (),
        ("keys.run_run_front_and_stop_ask_the_server",),
    ),
    "run to this node": (("toolbox.run_to_this_node_button",), (), ("keys.run_to_this_node_sends_only_what_it_needs",)),
    "undo / redo": ((), ("touch.two_finger_tap_undoes_and_three_redoes",), ("select.undo_and_redo_take_one_gesture",)),
    "panels": (
        ("keys.panels_open_by_their_tabs",),
        ("everyone.everything_can_be_reached_on_a_small_page",),
        ("keys.panels_open_with_a_single_key",),
    ),
    "drop PNG/WebP/JSON/MP4": (
        (
            "pictures.a_dropped_file_opens_its_workflow",
            "pictures.a_picture_dropped_on_a_loader_is_its_input",
            "pictures.a_picture_dropped_on_the_gallery_is_compared",
        ),
        (),
        ("pictures.open_with_a_key", "panels.a_workflow_saved_twice_keeps_a_version_and_shows_what_changed"),
    ),
    "image on node": (
        (
            "pictures.a_click_on_a_picture_opens_it_large",
            "pictures.a_picture_held_is_compared_with_the_one_before",
            "pictures.a_picture_is_dragged_out_as_a_file",
        ),
        ("touch.a_picture_held_by_a_finger_is_compared_and_opens_no_menu",),
        (),
    ),
    "bookmarks": ((), (), ("camera.bookmarks",)),
    "outline list": (
        ("keys.panels_open_by_their_tabs",),
        (),
        ("everyone.txt2img_is_built_run_and_read_with_the_keyboard_alone",),
    ),
    "command list, shortcuts, reload node definitions": (
        (),
        (),
        (
            "keys.the_command_list_runs_commands",
            "keys.the_shortcuts_open",
            "keys.node_definitions_are_read_again",
            "keys.a_key_of_the_browser_is_refused",
            "panels.every_command_is_in_the_list_and_its_key_can_be_changed",
        ),
    ),
}


# what users elsewhere complain of: the tests that keep it from happening here
COMPLAINTS: dict[str, tuple[str, ...]] = {
    "a big workflow fell from 60 frames to 10 after an update": (
        "counts.only_nodes_in_view_are_visited",
        "counts.a_burst_of_input_is_one_draw_a_layer_a_frame",
        "counts.a_drag_draws_the_scene_at_its_start_and_at_its_end",
    ),
    "the canvas lags on a large dense screen": (
        "dear.on_a_dense_screen_a_gesture_draws_one_pixel_a_pixel_and_is_sharp_afterwards",
        "dear.a_pan_shifts_and_paints_the_strips",
    ),
    "nodes as page elements are slow": ("counts.dom_elements_do_not_grow_with_the_graph",),
    "widget values are rewritten on load": ("document.values_are_not_rewritten_by_opening_a_file",),
    "promoted widgets are lost, nested subgraphs fail": (
        "subgraph.a_promoted_widget_has_a_value_of_its_own_on_each_instance",
        "subgraph.nested_subgraphs_are_made_entered_and_taken_apart",
    ),
    "a copied primitive loses its control": ("document.a_primitive_takes_what_it_feeds_and_keeps_its_control_when_copied",),
    "undo has empty or missing steps": (
        "random.random_gestures_then_undo_all_gives_the_same_file",
        "document.a_thousand_gestures_are_undone_one_by_one",
    ),
    "drafts fail, days are lost": (
        "document.a_browser_closed_during_a_run_finds_everything_in_its_place_and_the_result_too",
        "document.saving_keeps_the_last_five_versions",
    ),
    "another tab's run shows here; errors vanish": (
        "panels.each_event_goes_to_the_document_that_asked_for_it",
        "document.an_error_stays_with_its_document_when_another_is_looked_at",
    ),
    "touch: no pan, sliders change while moving nodes": (
        "touch.one_finger_pans",
        "touch.two_fingers_over_a_node_change_no_value_and_move_nothing",
        "touch.a_finger_on_a_number_of_a_node_not_selected_moves_the_node",
    ),
    "lists lost their filter": ("widgets.combo_lists_filters_and_picks",),
    "large text and zoom are locked out": ("everyone.everything_can_be_reached_on_a_small_page",),
    "a wire can no longer be branched": ("wires.shift_drag_on_a_wire_branches_it",),
}


def names_in(name: str) -> set[str]:
    tree = ast.parse((Path(__file__).parent / f"test_{name}.py").read_text(encoding="utf-8"))
    return {item.name for item in tree.body if isinstance(item, ast.FunctionDef)}


@pytest.mark.parametrize("complaint", [*COMPLAINTS])
def test_each_complaint_has_its_tests(complaint: str) -> None:
    assert not [name for name in COMPLAINTS[complaint] if f"test_{name.split('.')[1]}" not in names_in(name.split(".")[0])]


@pytest.mark.parametrize("row", [*ROWS])
def test_each_row_has_its_tests(row: str) -> None:
    wanted = [name for column in ROWS[row] for name in column]
    assert wanted
    missing = [name for name in wanted if f"test_{name.split('.')[1]}" not in names_in(name.split(".")[0])]
    assert not missing
