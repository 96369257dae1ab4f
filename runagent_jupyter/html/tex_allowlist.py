"""Decides whether a TeX formula is safe to hand to a page's typesetter."""

from __future__ import annotations

import re
from typing import Final

from runagent_jupyter.html.tex_macros import NAMES

_MAX_DEPTH: Final = 40  # of braces: more than any real formula has, less than any recursion limit

# TeX is a programming language, and typesetters extend it with links, styles and ids. A formula
# passes only if this list contains each of its commands. Every command here draws and does nothing
# else; \href, \class, \style, \require, \def and \label are examples of commands that do more.
_COMMANDS: Final = (
    frozenset(
        """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa varkappa lambda
    mu nu xi omicron pi varpi rho varrho sigma varsigma tau upsilon phi varphi chi psi omega
    digamma Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega frac dfrac tfrac cfrac
    binom dbinom tbinom sqrt over choose atop stackrel overset underset substack sum prod coprod
    int iint iiint oint bigcup bigcap bigsqcup bigvee bigwedge bigoplus bigotimes bigodot
    biguplus lim limsup liminf sup inf max min arg det dim exp gcd hom ker lg ln log Pr sin cos
    tan cot sec csc arcsin arccos arctan sinh cosh tanh coth deg injlim projlim varlimsup
    varliminf argmax argmin operatorname mathop mathbin mathrel mathord mathopen mathclose
    mathpunct mathinner limits nolimits displaylimits displaystyle textstyle scriptstyle
    scriptscriptstyle hat widehat check tilde widetilde acute grave dot ddot dddot breve bar vec
    overline underline overbrace underbrace overrightarrow overleftarrow overleftrightarrow
    underrightarrow underleftarrow mathring overparen underparen boxed cancel bcancel xcancel
    cancelto phantom hphantom vphantom smash mathrm mathbf mathit mathsf mathtt mathcal mathscr
    mathfrak mathbb mathnormal boldsymbol bm bold pmb text textrm textbf textit textsf texttt
    textnormal mbox rm bf it sf tt cal emph left right middle big Big bigg Bigg bigl Bigl biggl
    Biggl bigr Bigr biggr Biggr bigm Bigm biggm Biggm lbrace rbrace lbrack rbrack langle rangle
    lvert rvert lVert rVert vert Vert lfloor rfloor lceil rceil lgroup rgroup lmoustache
    rmoustache backslash ulcorner urcorner llcorner lrcorner pm mp times div cdot cdots ldots
    dots dotsb dotsc dotsi dotsm dotso vdots ddots ast star circ bullet oplus ominus otimes
    oslash odot bigcirc dagger ddagger amalg cup cap uplus sqcup sqcap vee wedge lor land lnot
    neg setminus smallsetminus wr diamond bigtriangleup bigtriangledown triangleleft
    triangleright lhd rhd unlhd unrhd dotplus Cup Cap barwedge veebar doublebarwedge boxminus
    boxplus boxtimes boxdot circledast circledcirc circleddash centerdot intercal ltimes rtimes
    leftthreetimes rightthreetimes curlyvee curlywedge divideontimes le leq ge geq ne neq lt gt
    equiv sim simeq approx approxeq cong propto asymp doteq models perp mid nmid parallel
    nparallel smile frown bowtie prec succ preceq succeq subset supset subseteq supseteq
    subsetneq supsetneq nsubseteq nsupseteq sqsubset sqsupset sqsubseteq sqsupseteq in ni notin
    owns vdash dashv vDash Vdash nvdash nvDash ll gg lll ggg leqslant geqslant lesssim gtrsim
    lessgtr gtrless lessapprox gtrapprox nless ngtr nleq ngeq triangleq eqcirc circeq bumpeq
    Bumpeq doteqdot thicksim thickapprox backsim not between pitchfork therefore because
    trianglelefteq trianglerighteq vartriangleleft vartriangleright coloneqq eqqcolon colon to
    gets leftarrow rightarrow leftrightarrow Leftarrow Rightarrow Leftrightarrow uparrow
    downarrow updownarrow Uparrow Downarrow Updownarrow longleftarrow longrightarrow
    longleftrightarrow Longleftarrow Longrightarrow Longleftrightarrow mapsto longmapsto
    hookleftarrow hookrightarrow leftharpoonup leftharpoondown rightharpoonup rightharpoondown
    rightleftharpoons leftrightharpoons nearrow searrow swarrow nwarrow leadsto iff implies
    impliedby xrightarrow xleftarrow nrightarrow nleftarrow nRightarrow nLeftarrow
    twoheadrightarrow twoheadleftarrow rightarrowtail leftarrowtail rightsquigarrow
    curvearrowleft curvearrowright circlearrowleft circlearrowright rightrightarrows
    leftleftarrows upharpoonright upharpoonleft infty nabla partial forall exists nexists
    emptyset varnothing aleph beth gimel daleth hbar hslash imath jmath ell wp Re Im mho prime
    backprime surd top bot angle measuredangle sphericalangle triangle triangledown square
    blacksquare lozenge blacklozenge bigstar Diamond Box clubsuit diamondsuit heartsuit
    spadesuit sharp flat natural checkmark maltese degree S P pounds yen euro copyright
    complement eth Finv Game Bbbk circledS circledR vartriangle blacktriangle blacktriangledown
    diagup diagdown quad qquad enspace enskip thinspace medspace thickspace negthinspace
    negmedspace negthickspace hfill space nobreakspace pmod bmod mod pod begin end hline tag
    notag nonumber color textcolor ce pu underbracket overbracket
    """.split()  # noqa: SIM905  # a table of words
    )
    | NAMES
)
_SPACE = re.compile(
    r"\*?\s*\{?\s*\d{0,2}(?:\.\d{1,3})?\s*(?:em|ex|mu|pt|px|bp|cm|mm|in)(?![A-Za-z])"
)
"""The argument of a command for a space: one that cannot reach far beyond the formula."""
_SPACES: Final = frozenset({"hskip", "hspace", "kern", "mkern", "mskip", "mspace"})
_SYMBOLS: Final = frozenset("\\{}|,;:!> %#&_$'\n")
ENVIRONMENTS: Final = frozenset(
    """
    align aligned alignat alignedat array bmatrix Bmatrix cases dcases rcases eqnarray equation
    gather gathered matrix multline pmatrix smallmatrix split subequations vmatrix Vmatrix
    """.split()  # noqa: SIM905  # a table of words
)
_TOKEN = re.compile(r"\\([A-Za-z]+|.|\Z)|[{}$%]", re.DOTALL)
_ENVIRONMENT = re.compile(r"\s*\{([A-Za-z]+)\*?\}")


_LABEL = re.compile(r"\\label\s*\{[^{}]*\}")
_REFERENCE = re.compile(r"\\(eq)?ref\s*\{([\w:. -]*)\}")


def safe_tex(tex: str) -> str | None:
    r"""Make a formula safe to be handed to a page's typesetter.

    Args:
        tex: The formula without its delimiters.

    Returns:
        The formula without its labels, which are names for other formulas and draw nothing, and
        with such names as words; `None` if it does more than draw.
    """
    if "\\" not in tex:
        return tex if is_safe_tex(tex) else None
    shown = _REFERENCE.sub(_reference, _LABEL.sub("", tex))
    return shown if is_safe_tex(shown) else None


def _reference(match: re.Match[str]) -> str:
    return rf"(\text{{{match[2]}}})" if match[1] else rf"\text{{{match[2]}}}"


def is_safe_tex(tex: str) -> bool:
    r"""Check that a formula only draws and cannot reach beyond its delimiters.

    Args:
        tex: The formula without its delimiters.

    Returns:
        Whether every command is on the list, the braces are balanced, and the formula contains
        neither a ``$`` nor a comment.
    """
    depth = 0
    for match in _TOKEN.finditer(tex):
        name = match[1]
        if name in {"begin", "end"}:
            environment = _ENVIRONMENT.match(tex, match.end())
            if not environment or environment[1] not in ENVIRONMENTS:
                return False
        elif name is not None:
            if name in _SPACES:
                if not _SPACE.match(tex, match.end()):
                    return False
            elif name not in _COMMANDS and name not in _SYMBOLS:
                return False
        elif match[0] in "$%":
            return False
        else:
            depth += 1 if match[0] == "{" else -1
            if not 0 <= depth <= _MAX_DEPTH:
                return False
    return depth == 0
