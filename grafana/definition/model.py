"""What all dashboards have in common: variables, annotations, panels, colours, the grid.

Plain dictionaries in the shape of Grafana's classic dashboard JSON (schemaVersion 41). Every panel has a title, a
description and a unit; a colour means the same on every dashboard.
"""

SCHEMA_VERSION = 41
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
TAG = "load-exporter"

# Series that are called so are coloured so, wherever they appear.
COLOURS = {
    "ok": "green", "committed": "green", "pass": "green", "met": "green", "reached": "blue", "started": "blue", "alive": "blue", "open": "blue",
    "error": "red", "fail": "red", "errors": "red", "missed": "red", "dropped": "red", "failed": "red", "rolled back": "red",
    "evicted": "red",
    "timeout": "orange", "inconclusive": "yellow", "cancelled": "yellow", "reordered": "yellow", "repeated": "dark-yellow",
    "interrupted": "purple", "waiting": "light-blue", "wanted": "text", "objective": "text", "limit": "text",
    "p50": "super-light-blue", "p90": "light-blue", "p95": "blue", "p99": "dark-blue", "mean": "light-green",
    "response p95": "blue", "service p95": "light-green", "sent": "light-blue", "received": "light-green",
    "hits": "green", "misses": "light-yellow",
}
# Labels whose values have a colour of their own, wherever they stand in a legend: `orders pay timeout` is orange, too.
COLOURED = {"{{outcome}}": ("ok", "error", "timeout", "interrupted"), "{{reason}}": ("timeout",),
            "{{direction}}": ("sent", "received")}
DASHED = {"wanted", "objective", "limit"}

GREEN_ONLY = [(None, "green")]


def steps(thresholds):
    """Thresholds: pairs of a lower edge and a colour; the first edge is None."""
    return {"mode": "absolute", "steps": [{"color": colour, "value": edge} for edge, colour in thresholds]}


def _target(index, query, legend, **more):
    return {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend,
            "editorMode": "code", "range": True, **more}


def _named(legends):
    overrides = []
    for label, values in COLOURED.items():
        for value in values if any(label in legend for legend in legends) else ():
            overrides.append({"matcher": {"id": "byRegexp", "options": f"/(^| ){value}$/"},
                              "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": COLOURS[value]}}]})
    for legend in legends:
        properties = []
        if legend in COLOURS:
            properties.append({"id": "color", "value": {"mode": "fixed", "fixedColor": COLOURS[legend]}})
        if legend in DASHED:
            properties.append({"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}})
        if properties:
            overrides.append({"matcher": {"id": "byName", "options": legend}, "properties": properties})
    return overrides


def _panel(kind, title, description, targets, unit, size, options, field, overrides=()):
    assert title and description, "every panel says what it shows"
    width, height = size
    return {
        "type": kind, "title": title, "description": description, "datasource": SOURCE, "targets": targets,
        "gridPos": {"h": height, "w": width, "x": 0, "y": 0},
        "fieldConfig": {"defaults": {"unit": unit, **field}, "overrides": list(overrides)}, "options": options,
    }


def lines(title, description, queries, unit, size=(12, 8), thresholds=None, stack=False, low=0.0, high=None, log=False):
    """Curves over time. `queries` are pairs of PromQL and legend; `log` for values of which one may be a thousand times another."""
    targets = [_target(index, query, legend) for index, (query, legend) in enumerate(queries)]
    custom = {
        "drawStyle": "line", "lineWidth": 1, "fillOpacity": 25 if stack else 8, "showPoints": "never", "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if thresholds else "off"},
        "scaleDistribution": {"type": "log", "log": 10} if log else {"type": "linear"},
    }
    low = None if log else low
    field = {"color": {"mode": "palette-classic"}, "custom": custom, "thresholds": steps(thresholds or GREEN_ONLY)}
    if low is not None:
        field["min"] = low
    if high is not None:
        field["max"] = high
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["mean", "max", "lastNotNull"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    overrides = _named([legend for _, legend in queries])
    return _panel("timeseries", title, description, targets, unit, size, options, field, overrides)


def stat(title, description, query, unit, size=(4, 4), thresholds=None, mappings=(), legend="", text="auto", decimals=None):
    """One figure, as of the end of the time shown."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "orientation": "auto",
        "colorMode": "background" if thresholds or mappings else "none", "graphMode": "none", "justifyMode": "auto",
        "textMode": text,
    }
    field = {"thresholds": steps(thresholds or GREEN_ONLY), "color": {"mode": "thresholds"}, "mappings": list(mappings)}
    if decimals is not None:
        field["decimals"] = decimals
    return _panel("stat", title, description, [_target(0, query, legend, instant=True, range=False)], unit, size, options, field)


def table(title, description, queries, unit, size=(24, 8), rename=None, hide=("job", "instance"), sort=None, thresholds=None, units=None,
          mapped=None):
    """A row for each set of labels, a column for each query. `queries` are pairs of PromQL and the column's title."""
    targets = [_target(index, query, "", instant=True, range=False, format="table") for index, (query, _) in enumerate(queries)]
    renames = {f"Value #{chr(ord('A') + index)}" if len(queries) > 1 else "Value": name for index, (_, name) in enumerate(queries)}
    renames.update(rename or {})
    hidden = {name: True for name in ("Time", "__name__", *hide)}
    transformations = [{"id": "merge", "options": {}}] if len(queries) > 1 else []
    transformations.append({"id": "organize", "options": {"excludeByName": hidden, "indexByName": {}, "renameByName": renames}})
    options = {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": ""}}
    if sort:
        options["sortBy"] = [{"displayName": sort, "desc": True}]
    field = {"custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False},
             "thresholds": steps(thresholds or GREEN_ONLY), "color": {"mode": "thresholds"}}
    overrides = [{"matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": own}]}
                 for name, own in (units or {}).items()]
    overrides += [{"matcher": {"id": "byName", "options": name}, "properties": [
        {"id": "mappings", "value": meanings}, {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}}]}
        for name, meanings in (mapped or {}).items()]
    panel = _panel("table", title, description, targets, unit, size, options, field, overrides)
    panel["transformations"] = transformations
    return panel


def states(title, description, query, legend, mappings, size=(24, 5)):
    """What was the case when, as coloured bars."""
    options = {"mergeValues": True, "showValue": "auto", "alignValue": "center", "rowHeight": 0.8,
               "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
               "tooltip": {"mode": "single", "sort": "none"}}
    field = {"custom": {"lineWidth": 0, "fillOpacity": 70}, "mappings": list(mappings), "color": {"mode": "thresholds"},
             "thresholds": steps([(None, "transparent")])}
    return _panel("state-timeline", title, description, [_target(0, query, legend)], "none", size, options, field)


def heatmap(title, description, query, unit="s", size=(12, 8)):
    """A distribution over time, from native or classic buckets."""
    options = {
        "calculate": False, "cellGap": 1, "filterValues": {"le": 1e-9}, "rowsFrame": {"layout": "auto"},
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange", "scale": "exponential",
                  "reverse": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit}, "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "legend": {"show": True}, "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
    }
    target = _target(0, query, "{{le}}", format="heatmap", exemplar=True)
    field = {"custom": {"hideFrom": {"legend": False, "tooltip": False, "viz": False}, "scaleDistribution": {"type": "linear"}}}
    return _panel("heatmap", title, description, [target], unit, size, options, field)


def exemplars(panel):
    """Has the curves' outliers show the traces that they come from."""
    for target in panel["targets"]:
        target["exemplar"] = True
    return panel


def linked(panel, uid):
    """A click on the panel's title leads to another dashboard, for the same profile and time."""
    panel["links"] = [{"title": f"Load / {uid.capitalize() if uid != 'slo' else 'SLO'}", "type": "link", "targetBlank": False,
                       "url": f"/d/load-exporter-{uid}?${{__url_time_range}}&${{__all_variables}}"}]
    return panel


def value(text, label, colour, index=0):
    """A mapping: what a figure means, in words."""
    return {"type": "value", "options": {str(text): {"text": label, "color": colour, "index": index}}}


# The higher of two hides the lower one.
VERDICT = [value(5, "fail", "red"), value(4, "inconclusive", "yellow", 1), value(3, "running", "blue", 2), value(2, "pass", "green", 3),
           value(1, "none", "text", 4), value(0, "waiting", "text", 5)]
YES_IS_GOOD = [value(1, "yes", "green"), value(0, "no", "red", 1)]
YES_IS_BAD = [value(0, "no", "green"), value(1, "yes", "red", 1)]
MISSED = [value(2, "missed", "red"), value(1, "not known", "yellow", 1), value(0, "met", "green", 2),
          value(-1, "target missed", "text", 3), value(-2, "target not known", "text", 4), value(-3, "target met", "text", 5)]


def section(title):
    """Begins a new row of panels."""
    return {"type": "row", "title": title, "collapsed": False, "gridPos": {"h": 1, "w": 24, "x": 0, "y": 0}, "panels": []}


def _arranged(panels):
    """Places panels from left to right, then below; each keeps its size."""
    x = y = height = 0
    for number, panel in enumerate(panels, 1):
        place = panel["gridPos"]
        if x + place["w"] > 24:
            x, y, height = 0, y + height, 0
        place["x"], place["y"] = x, y
        x, height = x + place["w"], max(height, place["h"])
        panel["id"] = number
    return panels


def variable(name, label, query, multi=True):
    """A choice among the values of a label."""
    return {
        "type": "query", "name": name, "label": label, "description": "", "datasource": SOURCE,
        "query": {"query": query, "refId": f"variable-{name}"}, "refresh": 2, "sort": 1, "regex": "", "hide": 0, "skipUrlSync": False,
        "multi": multi, "includeAll": multi, "allValue": ".*" if multi else None, "options": [],
        "current": {"selected": True, "text": "All", "value": "$__all"} if multi else {},
    }


def _variables(more):
    own = 'job=~"$job",instance=~"$instance"'
    source = {"type": "datasource", "name": "datasource", "label": "Data source", "description": "", "query": "prometheus", "regex": "",
              "hide": 0, "skipUrlSync": False, "multi": False, "includeAll": False, "options": [], "refresh": 1, "current": {}}
    return [
        source,
        variable("job", "Job", "label_values(load_exporter_build_info, job)"),
        variable("instance", "Instance", 'label_values(load_exporter_build_info{job=~"$job"}, instance)'),
        variable("profile", "Profile", f"label_values(load_exporter_profile_last_reload_successful{{{own}}}, profile)"),
        variable("scenario", "Scenario", f'label_values(load_users{{{own},profile=~"$profile"}}, scenario)'),
        variable("phase", "Phase", f'label_values(load_phase_active{{{own},profile=~"$profile"}}, phase)'),
        *more,
    ]


def _annotations():
    chosen = 'job=~"$job",instance=~"$instance",profile=~"$profile",phase=~"$phase"'
    phases = {
        "name": "Phases", "datasource": SOURCE, "enable": True, "hide": False, "iconColor": "blue",
        "expr": f"load_phase_start_timestamp_seconds{{{chosen}}} * 1000 > 0", "useValueForTime": "on", "titleFormat": "{{phase}} begins",
        "textFormat": "profile {{profile}}", "tagKeys": "profile,phase", "step": "15s",
    }
    alerts = {
        "name": "Alerts", "datasource": SOURCE, "enable": True, "hide": False, "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing",alertname=~"Load.*"}', "titleFormat": "{{alertname}}", "textFormat": "{{slo}} {{phase}}",
        "tagKeys": "severity", "step": "15s",
    }
    return {"list": [phases, alerts]}


def dashboard(uid, title, description, panels, variables=(), span="now-30m", refresh="10s"):
    """A whole dashboard."""
    return {
        "uid": f"load-exporter-{uid}", "title": f"Load / {title}", "description": description, "tags": [TAG],
        "timezone": "browser", "editable": False, "graphTooltip": 1, "schemaVersion": SCHEMA_VERSION, "version": 1, "refresh": refresh,
        "time": {"from": span, "to": "now"}, "timepicker": {}, "fiscalYearStartMonth": 0, "weekStart": "",
        "templating": {"list": _variables(variables)}, "annotations": _annotations(),
        "links": [{"type": "dashboards", "title": "Load", "tags": [TAG], "asDropdown": True, "includeVars": True, "keepTime": True,
                   "targetBlank": False, "icon": "external link", "tooltip": "", "url": ""}],
        "panels": _arranged(list(panels)),
    }
