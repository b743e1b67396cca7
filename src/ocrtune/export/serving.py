"""Where the usual servers treat a page otherwise than the checkpoint learned it."""

from ocrtune.families import Mode, get_mode
from ocrtune.inputs import InputsRecipe
from ocrtune.records import Finding


def serving_findings(recipe: InputsRecipe) -> list[Finding]:
    """What to set, or to know, before an export of this recipe is served.

    Servers cut pages by their own constants, whatever the checkpoint was trained with.
    """
    served = get_mode(recipe.family, recipe.family.default_mode)
    if not _same_views(recipe.mode, served):
        return [_other_mode(recipe, served)]
    most_tiles = recipe.family.served_max_tiles or served.max_tiles
    return [] if recipe.mode.max_tiles == most_tiles else [_other_tiles(recipe, most_tiles)]


def _same_views(mode: Mode, served: Mode) -> bool:
    return (mode.global_px, mode.tile_px, mode.fit) == (served.global_px, served.tile_px, served.fit)


def _other_mode(recipe: InputsRecipe, served: Mode) -> Finding:
    mode = recipe.mode
    tiles = "no tiles" if mode.tile_px is None else f"tiles of {mode.tile_px} px"
    return Finding(
        code="served-mode",
        severity="warning",
        message=f"mode {mode.name!r} (global view {mode.global_px} px, {tiles}) is not the one servers cut: "
        f"{served.name!r} (global view {served.global_px} px, tiles of {served.tile_px} px)",
        hint="predict with ocrtune, change the server's constants to these sizes, "
        f"or train with inputs.mode={served.name}",
    )


def _other_tiles(recipe: InputsRecipe, most_tiles: int) -> Finding:
    trained = recipe.mode.max_tiles
    return Finding(
        code="served-tiles",
        severity="warning",
        message=f"the checkpoint learned pages of at most {trained} tiles, servers cut at most {most_tiles}: "
        "the same page becomes other image tokens",
        hint=f"set the server's most tiles to {trained} (vLLM: MAX_CROPS of its processor), or train with inputs.mode="
        f"{{global_px: {recipe.mode.global_px}, tile_px: {recipe.mode.tile_px}, max_tiles: {most_tiles}}}",
    )
